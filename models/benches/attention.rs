//! Attention in blocks against attention out of operations of candle, at the sizes of a backbone with 16 heads and two
//! halves of guidance.
//!
//! `cargo bench -p lumina-models --bench attention`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lumina_models::nn::{Scores, attention, plain_attention};
use lumina_models::noise::Generator;
use lumina_models::{DType, Device};

fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    group.sample_size(10);
    for (tokens, head_dim) in [(256, 72), (1024, 64), (1024, 72)] {
        for dtype in [DType::F32, DType::BF16] {
            let [query, key, value] = [1, 2, 3].map(|seed| {
                let shape = [2, 16, tokens, head_dim];
                Generator::Philox.normal(seed, &shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
            });
            let scale = 1.0 / (head_dim as f64).sqrt();
            let operations = 4 * 2 * 16 * tokens * tokens * head_dim;
            group.throughput(Throughput::Elements(operations as u64));
            let name = format!("{tokens} tokens of {head_dim} in {}", dtype.as_str());
            group.bench_function(BenchmarkId::new("blocked", &name), |bencher| {
                bencher.iter(|| attention(&query, &key, &value, scale, None).unwrap());
            });
            group.bench_function(BenchmarkId::new("plain", &name), |bencher| {
                bencher.iter(|| plain_attention(&query, &key, &value, &Scores::scaled(scale)).unwrap());
            });
        }
    }
}

criterion_group!(benches, sizes);
criterion_main!(benches);

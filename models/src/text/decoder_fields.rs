//! The fields of a decoder's `config.json`.

use serde::Deserialize;

use super::decoder_config::{DecoderConfig, Windowed};
use super::decoder_family::DecoderFamily;
use crate::nn::Activation;

#[derive(Deserialize)]
struct Stored {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    rope_parameters: Option<RopeParameters>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    query_pre_attn_scalar: Option<f64>,
    // Where these two are absent transformers fills them in; null switches them off.
    #[serde(default = "usual_cap")]
    attn_logit_softcapping: Option<f64>,
    #[serde(default = "usual_window")]
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
}

fn usual_cap() -> Option<f64> {
    Some(50.0)
}

fn usual_window() -> Option<usize> {
    Some(4096)
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
}

/// Reads the fields of `family`.
///
/// # Errors
/// What is wrong, with the name of the field.
pub(super) fn parse(family: DecoderFamily, text: &[u8]) -> Result<DecoderConfig, String> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    for (name, bias) in [("attention_bias", stored.attention_bias), ("mlp_bias", stored.mlp_bias)] {
        if bias == Some(true) {
            return Err(format!("`{name}` is true, which is not supported"));
        }
    }
    if stored.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
        return Err("`rope_scaling` is set, which is not supported".to_owned());
    }
    let rope = stored.rope_parameters.as_ref();
    if let Some(kind) = rope.and_then(|rope| rope.rope_type.as_deref()).filter(|kind| *kind != "default") {
        return Err(format!("`rope_parameters.rope_type` is `{kind}`, expected `default`"));
    }
    let heads = stored.num_attention_heads;
    // Far above any real network: keeps a damaged config from overflowing products and from endless layers.
    for (name, size, most) in [
        ("vocab_size", stored.vocab_size, 1 << 24),
        ("hidden_size", stored.hidden_size, 1 << 20),
        ("intermediate_size", stored.intermediate_size, 1 << 24),
        ("num_hidden_layers", stored.num_hidden_layers, 1 << 10),
        ("num_attention_heads", heads, 1 << 12),
    ] {
        if !(1..=most).contains(&size) {
            return Err(format!("`{name}` is {size}, expected 1 to {most}"));
        }
    }
    let key_heads = stored.num_key_value_heads.unwrap_or(heads);
    if key_heads == 0 || !heads.is_multiple_of(key_heads) {
        return Err(format!("`num_key_value_heads` is {key_heads}, expected a divisor of {heads}"));
    }
    let head_dim = stored.head_dim.unwrap_or(stored.hidden_size / heads);
    if head_dim == 0 || head_dim > 1 << 16 || !head_dim.is_multiple_of(2) {
        return Err(format!("`head_dim` is {head_dim}, expected an even number"));
    }
    let rms_norm_eps = stored.rms_norm_eps.unwrap_or(1e-6);
    if !(0.0..1.0).contains(&rms_norm_eps) {
        return Err(format!("`rms_norm_eps` is {rms_norm_eps}, expected a small positive number"));
    }
    let rope_theta = rope.and_then(|rope| rope.rope_theta).or(stored.rope_theta).unwrap_or(10_000.0);
    if !(1.0..1e30).contains(&rope_theta) {
        return Err(format!("`rope_theta` is {rope_theta}, expected a number of at least 1"));
    }
    let config = DecoderConfig {
        vocab_size: stored.vocab_size,
        hidden_size: stored.hidden_size,
        intermediate_size: stored.intermediate_size,
        num_hidden_layers: stored.num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: key_heads,
        head_dim,
        rms_norm_eps,
        rope_theta,
        activation: activation(family, &stored)?,
        query_pre_attn_scalar: head_dim as f64,
        attn_logit_softcapping: None,
        sliding_window: None,
        ..family.config()
    };
    match family {
        DecoderFamily::Gemma | DecoderFamily::Llama => Ok(config),
        DecoderFamily::Gemma2 => with_gemma2_attention(config, &stored),
        DecoderFamily::Qwen3 if stored.use_sliding_window == Some(true) => {
            let first = stored.max_window_layers.unwrap_or(0);
            with_window(DecoderConfig { windowed: Windowed::From(first), ..config }, &stored)
        }
        DecoderFamily::Qwen3 => Ok(config),
    }
}

fn activation(family: DecoderFamily, stored: &Stored) -> Result<Activation, String> {
    let name = stored.hidden_activation.as_deref().or(stored.hidden_act.as_deref());
    let gemma = matches!(family, DecoderFamily::Gemma | DecoderFamily::Gemma2);
    match name {
        None | Some("gelu" | "gelu_pytorch_tanh" | "gelu_new") if gemma => Ok(Activation::GeluTanh),
        None | Some("silu" | "swish") if !gemma => Ok(Activation::Silu),
        other => {
            let expected = if gemma { "gelu_pytorch_tanh" } else { "silu" };
            Err(format!("`hidden_act` is `{}`, expected `{expected}`", other.unwrap_or_default()))
        }
    }
}

/// The scale of the scores, their cap, and the window.
fn with_gemma2_attention(mut config: DecoderConfig, stored: &Stored) -> Result<DecoderConfig, String> {
    let scalar = stored.query_pre_attn_scalar.unwrap_or(256.0);
    if !(scalar > 0.0 && scalar < 1e30) {
        return Err(format!("`query_pre_attn_scalar` is {scalar}, expected a positive number"));
    }
    if let Some(cap) = stored.attn_logit_softcapping.filter(|cap| !(1e-3..1e30).contains(cap)) {
        return Err(format!("`attn_logit_softcapping` is {cap}, expected a positive number"));
    }
    config.query_pre_attn_scalar = scalar;
    config.attn_logit_softcapping = stored.attn_logit_softcapping;
    with_window(config, stored)
}

fn with_window(mut config: DecoderConfig, stored: &Stored) -> Result<DecoderConfig, String> {
    if stored.sliding_window == Some(0) {
        return Err("`sliding_window` is 0, expected at least 1".to_owned());
    }
    config.sliding_window = stored.sliding_window;
    let Some(types) = &stored.layer_types else { return Ok(config) };
    if types.len() != config.num_hidden_layers {
        let layers = config.num_hidden_layers;
        return Err(format!("`layer_types` has {} entries, `num_hidden_layers` is {layers}", types.len()));
    }
    let list = types.iter().map(|kind| match kind.as_str() {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => {
            Err(format!("`layer_types` has `{other}`, expected `sliding_attention` or `full_attention`"))
        }
    });
    config.windowed = Windowed::List(list.collect::<Result<_, _>>()?);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = r#""vocab_size":8,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,
        "num_attention_heads":2"#;

    fn parse(rest: &str) -> Result<DecoderConfig, String> {
        DecoderConfig::parse(format!("{{{SIZES}{rest}}}").as_bytes())
    }

    #[test]
    fn old_and_new_names_are_read() {
        let old = parse(r#","rope_theta":500.0,"hidden_act":"gelu""#).unwrap();
        let new = parse(r#","rope_parameters":{"rope_theta":500.0,"rope_type":"default"}"#).unwrap();
        assert_eq!(old, new);
        assert_eq!((old.head_dim, old.num_key_value_heads), (4, 2));
    }

    #[test]
    fn other_models_are_refused_by_field() {
        assert!(parse(r#","model_type":"gemma3""#).unwrap_err().contains("model_type"));
        assert!(parse(r#","hidden_act":"relu""#).unwrap_err().contains("hidden_act"));
        assert!(parse(r#","model_type":"llama","hidden_act":"gelu""#).unwrap_err().contains("`silu`"));
        assert!(parse(r#","model_type":"llama","mlp_bias":true"#).unwrap_err().contains("mlp_bias"));
    }

    #[test]
    fn only_gemma_2_and_asked_for_windows_are_kept() {
        let fields = r#","sliding_window":3,"attn_logit_softcapping":50.0,"query_pre_attn_scalar":9"#;
        for family in DecoderFamily::ALL {
            let config = parse(&format!(r#","model_type":"{}"{fields}"#, family.model_type())).unwrap();
            let gemma2 = family == DecoderFamily::Gemma2;
            assert_eq!(config.family, family);
            assert_eq!((config.is_windowed(0), config.is_windowed(1)), (gemma2, false));
            assert_eq!(config.attn_logit_softcapping, gemma2.then_some(50.0));
            assert_eq!(config.query_pre_attn_scalar, if gemma2 { 9.0 } else { 4.0 });
        }
        let asked =
            r#","model_type":"qwen3","sliding_window":3,"use_sliding_window":true,"max_window_layers":1"#;
        let config = parse(asked).unwrap();
        assert_eq!((config.is_windowed(0), config.is_windowed(1)), (false, true));
    }

    #[test]
    fn an_absent_cap_is_filled_in_and_a_null_switches_it_off() {
        let absent = parse(r#","model_type":"gemma2""#).unwrap();
        let null = r#","model_type":"gemma2","attn_logit_softcapping":null,"sliding_window":null"#;
        let null = parse(null).unwrap();
        assert_eq!((absent.attn_logit_softcapping, absent.sliding_window), (Some(50.0), Some(4096)));
        assert_eq!((null.attn_logit_softcapping, null.is_windowed(0)), (None, false));
    }

    #[test]
    fn a_list_of_layer_types_says_where_the_window_is() {
        let gemma2 = r#","model_type":"gemma2","sliding_window":3,"layer_types":"#;
        let config = parse(&format!(r#"{gemma2}["full_attention","sliding_attention"]"#)).unwrap();
        assert_eq!((config.is_windowed(0), config.is_windowed(1)), (false, true));
        assert!(parse(&format!(r#"{gemma2}["full_attention"]"#)).unwrap_err().contains("layer_types"));
        assert!(parse(&format!(r#"{gemma2}["full_attention","other"]"#)).unwrap_err().contains("`other`"));
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_field() {
        for (field, value) in
            [("sliding_window", "0"), ("query_pre_attn_scalar", "0"), ("attn_logit_softcapping", "-1")]
        {
            let error = parse(&format!(r#","model_type":"gemma2","{field}":{value}"#)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}

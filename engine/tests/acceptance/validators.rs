//! Nodes that are particular about their inputs.

use lumina_engine::{
    Call, Domain, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Registry,
    Type, Value,
};

use crate::images::{Image, Mask};

/// A kind by what it asks of its input `value`.
struct Validator {
    output: Type,
    asks: fn(&Inquiry<'_>) -> Option<Mistake>,
    gives: fn(&Call<'_>) -> Result<Value, NodeError>,
}

impl Node for Validator {
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        match (self.asks)(inquiry) {
            None => Ok(Inference::new([Fact::of(self.output.clone())], Memory::SMALL)),
            Some(mistake) => Err(vec![mistake]),
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![(self.gives)(call)?])
    }
}

fn only_float(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let ty = &inquiry.fact("value")?.ty;
    (*ty != Type::Float).then(|| Mistake::at("value", format!("a number with a point is wanted, not {ty}")))
}

fn up_to_six(inquiry: &Inquiry<'_>) -> Option<Mistake> {
    let value = inquiry.float("value")?;
    (value > 6.0).then(|| Mistake::at("value", format!("{value} is more than I can take")))
}

fn one(_: &Call<'_>) -> Result<Value, NodeError> {
    Ok(Value::Float(1.0))
}

fn given_or_default(call: &Call<'_>) -> Result<Value, NodeError> {
    let optional = call.value("maybe").map_or(Ok(100.0), |_| call.float("maybe"))?;
    Ok(Value::Float(optional + call.float("value")?))
}

pub(crate) fn plugin(registry: &mut Registry) {
    let (image, mask) = (Type::Domain(Image::NAME), Type::Domain(Mask::NAME));
    let validator = |asks, gives| Validator { output: Type::Float, asks, gives };
    let mut add = |kind, input: InputSpec, validator: Validator| {
        let output = validator.output.clone();
        let spec = NodeSpec::new(kind, 1, "For tests").input(input).output("out", output, "what comes out");
        registry.add(spec, validator);
    };
    let value = |ty| InputSpec::required("value", ty, "what is looked at");
    let any = |_: &Inquiry<'_>| None;
    let same = |call: &Call<'_>| call.float("value").map(Value::Float);
    let union = vec![image.clone(), Type::Float];

    add("check.only_float", value(Type::Any), validator(only_float, same));
    add("check.up_to_six", value(Type::Float), validator(up_to_six, same));
    add("check.image_or_float", value(Type::OneOf(union.clone())), validator(any, one));
    add("check.float_or_image", value(Type::OneOf(vec![Type::Float, image.clone()])), validator(any, one));
    add("check.wide", value(Type::OneOf(vec![image, Type::Float, mask])), validator(any, one));
    add("check.panic", value(Type::Float), validator(|_| panic!("in the validator"), same));
    let either = Validator { output: Type::OneOf(union), asks: any, gives: same };
    add("number.either", value(Type::Float), either);
    let whole = |call: &Call<'_>| call.int("value").map(Value::Int);
    add("number.whole", value(Type::Int), Validator { output: Type::Int, asks: any, gives: whole });
    registry.add(
        NodeSpec::new("number.given_or_default", 1, "For tests")
            .input(InputSpec::default("value", Type::Float, Value::Float(7.0), "has a value of its own"))
            .input(InputSpec::optional("maybe", Type::Float, "may be absent"))
            .output("out", Type::Float, "their sum"),
        validator(any, given_or_default),
    );
}

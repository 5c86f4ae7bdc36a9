//! Starting from a picture.

use crate::{ModelError, Result};

/// The part of a grid that is left for starting from a picture: of n points the first `n (1 - strength)`, rounded down, are
/// dropped. The latent to start from is the picture and noise mixed at the first time that is left, so that with a shifted
/// grid less of the picture shows than `strength` says. A strength of 1 leaves the grid alone.
///
/// Source: `ODE.__init__` of Lumina-T2X `lumina_next_t2i_mini/transport.py`. The product is rounded in f64, so that a
/// strength of 0.9 leaves all of 10 points. A small strength leaves the last point alone: there is no step to make.
///
/// # Errors
/// [`ModelError::Input`] for a strength that is not above 0 and up to 1, and for no points.
pub fn kept(points: &[f64], strength: f64) -> Result<&[f64]> {
    if !(strength > 0.0 && strength <= 1.0) {
        return Err(ModelError::input("the strength", "above 0 and up to 1", strength.to_string()));
    }
    let dropped = (points.len() as f64 * (1.0 - strength)) as usize;
    points
        .get(dropped..)
        .filter(|left| !left.is_empty())
        .ok_or_else(|| ModelError::input("the grid", "at least one point", "none"))
}

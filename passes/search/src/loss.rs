//! How much of the exact network's accuracy a genome loses: an estimate from all that images show.
//!
//! Counted alone, losses are a poor judge among good genomes. Two that differ on 25 of 2,000 images have
//! shares that differ by a quarter of a point by chance; and of images that the network has learnt it
//! loses hardly any, so that hundreds of genomes look alike. Outputs at a higher temperature [HVD15]
//! show every change on every image, learnt or not: the divergence there orders good genomes reliably,
//! but it says only roughly how many images a change costs.
//!
//! So the divergence makes a first guess and the count corrects it, as rates of small districts are
//! estimated [CK87]: where few losses are expected the guess stays, where many are they decide. One
//! number of the genome and the images alone, so that "better" is transitive and does not depend on
//! what else was judged.

/// Divides logits before the divergence is taken.
pub(crate) const TEMPERATURE: f64 = 4.0;
/// Lost images that the guess counts as much as: the losses of genomes of one divergence scatter by about
/// a third.
const STRENGTH: f64 = 10.0;

/// The estimated share of images that the exact network gets right and the genome does not, from `lost`
/// such images of `images`, and the mean `divergence` (nats, at [`TEMPERATURE`]): 0 to 1.
pub(crate) fn loss(lost: usize, images: usize, divergence: f64) -> f64 {
    let guess = guess(divergence);
    guess * (STRENGTH + lost as f64) / (STRENGTH + images as f64 * guess)
}

/// By Pinsker's inequality, of the classes drawn from two distributions at most this share differs.
fn guess(divergence: f64) -> f64 {
    (divergence / 2.0).sqrt().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_correct_the_guess_where_they_can() {
        let divergence = |guess: f64| 2.0 * guess * guess;
        let check = |lost: usize, images: usize, guess: f64, expect: f64| {
            let got = loss(lost, images, divergence(guess));
            assert!((got - expect).abs() < 1e-12, "{got}");
        };
        // As many as guessed; none, and twice as many, where few were to be expected; many.
        check(5, 500, 0.01, 0.01);
        check(0, 500, 0.002, 0.002 * 10.0 / 11.0);
        check(2, 500, 0.002, 0.002 * 12.0 / 11.0);
        check(200, 500, 0.2, 0.2 * 210.0 / 110.0);
        check(500, 500, 9.0, 1.0);
        check(0, 1, 0.0, 0.0);
        // A difference that may be chance does not outweigh a much smaller divergence.
        let [near, far] = [(2, 0.002), (0, 0.004)].map(|(n, g)| loss(n, 500, divergence(g)));
        assert!(near < far);
        // One that is no chance does.
        let [few, many] = [(20, 0.1), (60, 0.05)].map(|(n, g)| loss(n, 500, divergence(g)));
        assert!(few < many);
    }
}

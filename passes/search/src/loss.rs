//! How much of the exact network's accuracy a genome loses: an estimate from all that images show.
//!
//! Counted alone, losses are a poor judge among good genomes. Two that differ on 25 of 2,000 images have
//! shares that differ by a quarter of a point by chance; and of images that the network has learnt it
//! loses fewer than of others, so that many genomes look alike. Outputs at a higher temperature [HVD15]
//! show every change on every image, learnt or not: they order good genomes reliably, but say only
//! roughly how many images a change costs.
//!
//! So they make a first guess and the count corrects it, as rates of small districts are estimated
//! [CK87]: where few losses are expected the guess stays, where many are they decide. One number of the
//! genome and the images alone, so that "better" is transitive and does not depend on what else was
//! judged.

/// Divides logits before they become probabilities.
pub(crate) const TEMPERATURE: f64 = 4.0;
/// Share of the images whose class would change, were classes drawn at [`TEMPERATURE`], that are lost at
/// zero. Measured with ResNet-20, the change on training images and the loss on test images: 0.22 to 0.5
/// for genomes that lose 0.15 to 16 %; where more is lost, there is more to count.
const LOST: f64 = 1.0 / 3.0;
/// Lost images that the guess counts as much as: it is good to about a third.
const STRENGTH: f64 = 10.0;

/// The estimated share of images that the exact network gets right and the genome does not, from `lost`
/// such images of `images`, and the mean [`change`] of their outputs: 0 to 1.
pub(crate) fn loss(lost: usize, images: usize, change: f64) -> f64 {
    let guess = LOST * change;
    // The mean of a gamma distribution around the guess, after counts that are Poisson's.
    guess * (STRENGTH + lost as f64) / (STRENGTH + images as f64 * guess)
}

/// How likely a class changes that is drawn from either of two distributions, given by the logarithms of
/// their probabilities: their total variation distance, 0 to 1.
pub(crate) fn change(teacher: &[f64], student: &[f64]) -> f64 {
    let term = |(t, s): (&f64, &f64)| (t.exp() - s.exp()).abs();
    0.5 * teacher.iter().zip(student).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_correct_the_guess_where_they_can() {
        let check = |lost: usize, images: usize, guess: f64, expect: f64| {
            let got = loss(lost, images, guess / LOST);
            assert!((got - expect).abs() < 1e-12, "{got}");
        };
        // As many as guessed; none, and twice as many, where few were to be expected; many.
        check(5, 500, 0.01, 0.01);
        check(0, 500, 0.002, 0.002 * 10.0 / 11.0);
        check(2, 500, 0.002, 0.002 * 12.0 / 11.0);
        check(200, 500, 0.2, 0.2 * 210.0 / 110.0);
        check(0, 1, 0.0, 0.0);
        assert!((0.9..=1.0).contains(&loss(500, 500, 1.0)));
        // A difference that may be chance does not outweigh a much smaller change.
        let [near, far] = [(2, 0.006), (0, 0.012)].map(|(n, change)| loss(n, 500, change));
        assert!(near < far);
        // One that is no chance does.
        let [few, many] = [(20, 0.3), (60, 0.15)].map(|(n, change)| loss(n, 500, change));
        assert!(few < many);
    }

    #[test]
    fn changes_by_hand() {
        let [a, b] = [[0.5f64, 0.25, 0.25], [0.25, 0.5, 0.25]].map(|p| p.map(f64::ln));
        assert!((change(&a, &b) - 0.25).abs() < 1e-12);
        assert_eq!(change(&a, &a), 0.0);
    }
}

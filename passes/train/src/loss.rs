//! Cross-entropy of the labels and divergence from the teacher.

use hecc_batch::Batch;

/// Loss of a batch, and its gradient by the student's logits.
pub(crate) struct Loss {
    /// Mean over the images.
    pub value: f64,
    /// Images whose largest logit is the label's.
    pub correct: usize,
    /// Same shape as the logits.
    pub gradient: Batch,
}

/// (1 - soft) CE(student, label) + soft T^2 KL(teacher / T || student / T), mean over the images.
/// T^2 keeps the size of the gradient [HVD15].
pub(crate) fn loss(
    student: &Batch,
    teacher: &Batch,
    labels: &[usize],
    soft: f32,
    temperature: f32,
) -> Loss {
    let classes = student.shape.elements();
    let mut gradient = Batch::zeros(student.n, student.shape);
    let (mut value, mut correct) = (0.0, 0);
    let (soft, t) = (f64::from(soft), f64::from(temperature));
    let rows = student.data.chunks_exact(classes);
    let rows = rows.zip(teacher.data.chunks_exact(classes));
    let out = gradient.data.chunks_exact_mut(classes);
    for (((s, q), out), &label) in rows.zip(out).zip(labels) {
        let hard = log_softmax(s, 1.0);
        let (log_s, log_q) = (log_softmax(s, t), log_softmax(q, t));
        value -= (1.0 - soft) * hard[label];
        for k in 0..classes {
            let target = log_q[k].exp();
            value += soft * t * t * target * (log_q[k] - log_s[k]);
            let one = f64::from(u8::from(k == label));
            let g = (1.0 - soft) * (hard[k].exp() - one) + soft * t * (log_s[k].exp() - target);
            out[k] = (g / student.n as f64) as f32;
        }
        correct += usize::from(first_largest(s) == label);
    }
    Loss {
        value: value / student.n as f64,
        correct,
        gradient,
    }
}

/// Position of the largest value, the first of equals; a non-finite logit makes no class.
pub(crate) fn first_largest(logits: &[f32]) -> usize {
    if logits.iter().any(|l| !l.is_finite()) {
        return usize::MAX;
    }
    let mut best = 0;
    for (k, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = k;
        }
    }
    best
}

fn log_softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let x: Vec<f64> = logits.iter().map(|&l| f64::from(l) / temperature).collect();
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|v| (v - largest).exp()).sum();
    x.iter().map(|v| v - largest - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use hecc_ir::nn::Shape;
    use hecc_ir::testing::Random;

    use super::*;

    #[test]
    fn gradient_is_the_slope() {
        let mut random = Random::new(1);
        let shape = Shape::new(5, 1, 1);
        let mut batch = || Batch {
            n: 3,
            shape,
            data: random.floats(15).iter().map(|x| 3.0 * x).collect(),
        };
        let (student, teacher) = (batch(), batch());
        let labels = [4, 0, 2];
        let at = |student: &Batch| loss(student, &teacher, &labels, 0.7, 1.7);
        let exact = at(&student).gradient;
        for i in 0..15 {
            let moved = |step: f32| {
                let mut s = student.clone();
                s.data[i] += step;
                at(&s).value
            };
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((slope - f64::from(exact.data[i])).abs() < 1e-4, "{i}");
        }
        assert!(loss(&teacher, &teacher, &labels, 1.0, 2.0).value.abs() < 1e-12);
    }

    #[test]
    fn classes() {
        assert_eq!(first_largest(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(first_largest(&[1.0, f32::NAN]), usize::MAX);
    }
}

use super::*;
use crate::testing::Random;
use rayon::ThreadPoolBuilder;

#[test]
fn gradients_do_not_depend_on_the_threads() {
    let mut random = Random::new(4);
    let (input, output) = (Shape::new(5, 6, 6), Shape::new(20, 6, 6));
    let window = Window {
        kernel: [3, 3],
        stride: [1, 1],
        pads: [1; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let mut batch = |shape: Shape| Batch {
        n: 19,
        shape,
        data: random.floats(19 * shape.elements()),
    };
    let (x, gradient) = (batch(input), batch(output));
    let with = |threads| {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| weight_gradient(&x, &gradient, &window).unwrap())
    };
    let one = with(1);
    assert_eq!(one.len(), 20 * 5 * 9);
    assert_eq!(one, with(3));
}

#[test]
fn absurd_paddings_are_refused() {
    let window = Window {
        kernel: [1, 1],
        stride: [1, 1],
        pads: [60_000; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let (x, shape) = (
        Batch::zeros(1, Shape::new(1, 1, 1)),
        Shape::new(1, 120_001, 120_001),
    );
    let positions = Correlation::forward(&window, x.shape, shape, &[1.0], &[]);
    assert!(matches!(positions, Err(BatchError::Padding { .. })));
}

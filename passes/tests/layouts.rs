//! What choose_layouts decides.

mod networks;

use hecc_ir::nn::Shape;
use hecc_passes::PassError;
use hecc_passes::choose_layouts::{Layouts, choose_layouts};
use hecc_passes::fold_linear::fold_linear;
use hecc_passes::steps::Steps;
use networks::{Builder, Style, resnet};

fn layouts(graph: &hecc_ir::nn::Graph, slots: usize) -> Result<Layouts, PassError> {
    let folded = fold_linear(graph).unwrap();
    choose_layouts(&Steps::read(&folded.graph).unwrap(), slots, 64)
}

#[test]
fn resnet20_diagonals() {
    let layouts = layouts(&resnet(Style::Folded, 3, 16, 32), 1 << 14).unwrap();
    // Diagonals of every step's maps; 0 is a skip that is only scaled.
    let diagonals: Vec<Vec<usize>> = layouts
        .steps
        .iter()
        .map(|step| {
            step.maps
                .iter()
                .map(|m| m.map_or(0, |m| m.diagonals))
                .collect()
        })
        .collect();
    let first =
        |steps: std::ops::Range<usize>| diagonals[steps].iter().map(|d| d[0]).collect::<Vec<_>>();
    assert_eq!(first(0..7), [36, 144, 144, 144, 144, 144, 144]);
    assert_eq!(diagonals[2], [144, 0]);
    assert!(
        first(7..8)[0] <= 144 && first(13..14)[0] <= 324,
        "{diagonals:?}"
    );
    assert!(first(8..13).iter().all(|&d| d <= 196), "{diagonals:?}");
    assert!(first(14..19).iter().all(|&d| d <= 225), "{diagonals:?}");
    assert_eq!(first(19..20), [16]);
    for step in &layouts.steps {
        assert_eq!(step.sum.twist, 0);
        assert_eq!(step.sum.copies * step.sum.stride(), 1 << 14);
    }
}

#[test]
fn too_large() {
    let mut b = Builder::new(Shape::new(3, 32, 32), Style::Folded, 1);
    let x = b.conv_bn(b.graph.input, 64, 1);
    let x = b.relu(x);
    let graph = b.head(x, 10);
    assert!(layouts(&graph, 1 << 16).is_ok());
    let error = layouts(&graph, 1 << 14).unwrap_err();
    assert!(matches!(error, PassError::TooLarge { .. }), "{error}");
}

//! What choose_layouts decides for a ResNet-20.

mod networks;

use hecc_passes::choose_layouts::choose_layouts;
use hecc_passes::fold_linear::fold_linear;
use hecc_passes::steps::Steps;
use networks::{Style, resnet};

#[test]
fn resnet20_diagonals() {
    let folded = fold_linear(&resnet(Style::Folded, 3, 16, 32)).unwrap();
    let steps = Steps::read(&folded.graph).unwrap();
    let start = std::time::Instant::now();
    let layouts = choose_layouts(&steps, 1 << 14, 64).unwrap();
    println!("{:?}", start.elapsed());
    for (step, layout) in steps.steps.iter().zip(&layouts.steps) {
        let l = &layout.sum;
        println!(
            "{} gap {} {}x{} copies {} twist {}",
            step.name, l.gap, l.rows, l.cols, l.copies, layout.activation.twist
        );
        for m in &layout.maps {
            println!("    {m:?}");
        }
    }
    println!("{}", layouts.cost);
}

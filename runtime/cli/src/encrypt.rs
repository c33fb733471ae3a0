//! `hecc-run encrypt`.

use hecc_runtime::ciphertext_file::{input_node, write_input};
use hecc_runtime::plan_file::{context, load_plan};

use crate::args::Encrypt;
use crate::client_key::ClientKey;
use crate::failure::Failure;
use crate::tensor;

const IMAGE_HELP: &str = "give a PNG, JPEG, WebP or BMP image of any size, or a .npy array of one \
    image: float32 [c,h,w], normalised, or uint8 [h,w,c]";

/// Encrypts an image file for a plan.
pub fn encrypt(args: &Encrypt) -> Result<(), Failure> {
    let plan = load_plan(&args.plan)?;
    let client = ClientKey::read(&args.client, &plan)?;
    let image = hecc_images::load_image(&args.image, &plan.preprocess)
        .map_err(|e| Failure::new(e.to_string(), e.help().unwrap_or(IMAGE_HELP)))?;
    let context = context(&plan)?;
    let values: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
    let secret = client.secret(&context);
    let encrypted =
        tensor::encrypt(&context, &secret, input_node(&plan), &values).map_err(|e| {
            Failure::new(
                format!("{}: cannot be encrypted: {e}", args.image.display()),
                "check that the values are finite and of the size the model was trained on",
            )
        })?;
    write_input(&args.output, &plan, client.id(), &context, &encrypted)?;
    println!("{}: the encrypted image", args.output.display());
    Ok(())
}

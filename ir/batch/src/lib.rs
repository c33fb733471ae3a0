//! nn graphs on batches of images in f32.

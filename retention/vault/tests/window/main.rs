//! Windows of histories: their manifests, and what of them is kept.

mod catalogue;
mod fixture;
mod manifest;

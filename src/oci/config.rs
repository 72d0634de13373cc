//! Image configurations, read for the two things a lock needs: the platform and the layers' uncompressed digests.
//!
//! image-spec config.md. Unknown fields are ignored; the bytes are carried as they are.

use serde::Deserialize;

use super::Platform;
use super::manifest::DescriptorPlatform;
use crate::digest::Digest;
use crate::limits;

/// What a configuration says about the image it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What it runs on; `None` when it says nothing that is a platform.
    pub platform: Option<Platform>,
    /// The SHA-256 of each layer's tar, uncompressed, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// Why bytes are not an image configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Larger than any real one.
    #[error("the image configuration is larger than {} bytes", limits::CONFIG_BYTES)]
    TooLarge,
    /// Not JSON, or not of the right shape.
    #[error("it is not an image configuration: {0}")]
    Json(String),
}

#[derive(Deserialize)]
struct Raw {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    rootfs: Option<RawRootfs>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default)]
    diff_ids: Vec<Digest>,
}

impl Config {
    /// Parses `bytes`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() as u64 > limits::CONFIG_BYTES {
            return Err(ConfigError::TooLarge);
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| ConfigError::Json(e.to_string()))?;
        let platform = match (raw.os, raw.architecture) {
            (Some(os), Some(architecture)) => DescriptorPlatform {
                architecture,
                os,
                os_version: None,
                os_features: None,
                variant: raw.variant,
            }
            .platform(),
            _ => None,
        };
        Ok(Self { platform, diff_ids: raw.rootfs.map(|rootfs| rootfs.diff_ids).unwrap_or_default() })
    }
}

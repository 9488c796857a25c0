//! config.json, as of the OCI runtime specification 1.2 (config.md, config-linux.md). Unknown fields are ignored, as it demands.
//!
//! What becomes of each field is decided in [`validate`] (refused, ignored with a log line) and [`crate::plan`] (honoured).

mod linux;
mod mounts;
mod names;
mod process;
mod validate;

pub use linux::{Cpu, Device, IdMapping, Linux, Memory, Resources};
pub use mounts::{IdMap, option_names, parse_options};
pub use names::{CAPABILITIES, LIMITS, capability, limit_index, signal_number};
pub use process::{Capabilities, Process, Rlimit};
pub use validate::{Findings, validate, validate_process};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Context, Error, Result};

/// The largest config.json that is read, bytes.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// config.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Spec {
    pub oci_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    pub hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// `root`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Root {
    /// Relative to the bundle, or absolute.
    pub path: String,
    pub readonly: bool,
}

/// One of `mounts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Mount {
    pub destination: String,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

/// `hooks`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Hooks {
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Hook {
    pub path: String,
    /// `argv`, the program's name first; empty means the path.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl Spec {
    /// Reads and checks the config.json of a bundle.
    pub fn load(bundle: &Path) -> Result<(Spec, Findings)> {
        let path = bundle.join("config.json");
        let text = read_limited(&path)?;
        let spec: Spec = serde_json::from_slice(&text).context(|| format!("read \"{}\"", path.display()))?;
        let findings = validate(&spec);
        if let Some(refusal) = findings.refusal() {
            return Err(Error::new(format!("\"{}\" can't be run: {refusal}", path.display())));
        }
        Ok((spec, findings))
    }

    /// `linux`, or an empty one.
    pub fn linux(&self) -> std::borrow::Cow<'_, Linux> {
        self.linux.as_ref().map_or_else(Default::default, std::borrow::Cow::Borrowed)
    }

    /// `hooks`, or none.
    pub fn hooks(&self) -> Hooks {
        self.hooks.clone().unwrap_or_default()
    }
}

/// Reads a file of JSON that isn't absurdly large.
pub fn read_limited(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path).context(|| format!("open \"{}\"", path.display()))?;
    let mut text = Vec::new();
    let read = file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text);
    let length = read.context(|| format!("read \"{}\"", path.display()))?;
    if length as u64 > CONFIG_BYTES_MAX {
        return Err(Error::new(format!("\"{}\" is larger than 16 MiB", path.display())));
    }
    Ok(text)
}

/// Go writes empty lists as `null` at times.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

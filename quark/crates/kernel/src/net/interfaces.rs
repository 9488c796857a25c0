//! SIOCGIFCONF: the addresses of the pod's interfaces, by the host's own answers for each.

use std::os::fd::AsFd;

use quark_host::socket as host;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::call::Call;
use crate::{Errno, Result};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Configuration {
    length: i32,
    pad: u32,
    buffer: u64,
}

/// Highest interface index that is looked at; indexes of a pod's namespace are small.
const INDEX_MAX: i32 = 64;

/// Answers SIOCGIFCONF: names and IPv4 addresses.
pub fn list(call: &mut Call<'_>, argument: u64) -> Result<()> {
    let mut configuration: Configuration = call.read_value(argument)?;
    let room = usize::try_from(configuration.length).map_err(|_| Errno::INVAL)?;
    let entries: Vec<u8> = addresses()?.concat();
    if configuration.buffer == 0 {
        configuration.length = entries.len() as i32;
    } else {
        let shown = entries.len().min(room - room % 40);
        call.write(configuration.buffer, entries.get(..shown).unwrap_or_default())?;
        configuration.length = shown as i32;
    }
    call.write_value(argument, &configuration)
}

fn addresses() -> Result<Vec<[u8; 40]>> {
    let socket = host::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut found = Vec::new();
    for index in 1..=INDEX_MAX {
        let mut entry = [0; 40];
        entry[16..20].copy_from_slice(&index.to_ne_bytes());
        if host::interface(socket.as_fd(), libc::SIOCGIFNAME as u32, &mut entry).is_err() {
            continue;
        }
        entry[16..].fill(0);
        if host::interface(socket.as_fd(), libc::SIOCGIFADDR as u32, &mut entry).is_ok() {
            found.push(entry);
        }
    }
    Ok(found)
}

//! From messages to what the kernel's API takes.

use std::os::fd::OwnedFd;

use quark_kernel::kernel::{Cgroups, ContainerSpec, DeviceSpec, HostLimits, MountSource, MountSpec, ProcessSpec, Stdio};
use quark_kernel::task::{Credentials, Limit};

use crate::error::{Error, Result};
use crate::messages::{NewContainer, NewDevice, NewMount, NewProcess, NewSource};

/// Takes a message's descriptors in the order in which it mentions them.
pub struct Descriptors(std::vec::IntoIter<OwnedFd>);

impl Descriptors {
    /// All that came with a message.
    pub fn new(descriptors: Vec<OwnedFd>) -> Descriptors {
        Descriptors(descriptors.into_iter())
    }

    /// The next one.
    pub fn next(&mut self) -> Result<OwnedFd> {
        self.0.next().ok_or_else(|| Error::new("an order lacks a descriptor"))
    }
}

/// A container without its process.
pub fn container(new: &NewContainer, descriptors: &mut Descriptors) -> Result<ContainerSpec> {
    let bytes = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
    let cgroups = new.cgroups.map(|counts| cgroups(counts, descriptors)).transpose()?;
    Ok(ContainerSpec {
        id: new.id.clone(),
        cgroups,
        mounts: new.mounts.iter().map(|new| mount(new, descriptors)).collect::<Result<_>>()?,
        masked: bytes(&new.masked),
        read_only: bytes(&new.read_only),
        hostname: new.hostname.clone().into_bytes(),
        domain_name: new.domain_name.clone().into_bytes(),
        sysctl: new.sysctl.iter().cloned().collect(),
        devices: new.devices.iter().map(device).collect(),
        share_pids_with: new.share_pids_with.clone(),
        limits: HostLimits { memory: new.memory_limit, processor: new.processor_limit, pids: new.pids_limit },
    })
}

fn cgroups((processes, threads): (usize, usize), descriptors: &mut Descriptors) -> Result<Cgroups> {
    let mut take = |count: usize| (0..count).map(|_| descriptors.next()).collect::<Result<_>>();
    Ok(Cgroups { processes: take(processes)?, threads: take(threads)? })
}

fn mount(new: &NewMount, descriptors: &mut Descriptors) -> Result<MountSpec> {
    let source = match &new.source {
        NewSource::Host => MountSource::Host(descriptors.next()?),
        NewSource::HostFile { writable } => {
            let reader = descriptors.next()?;
            MountSource::HostFile { reader, writer: if *writable { Some(descriptors.next()?) } else { None } }
        }
        NewSource::Overlay => MountSource::Overlay(descriptors.next()?),
        NewSource::Tmpfs { options, copy_up } => MountSource::Tmpfs { options: options.clone().into_bytes(), copy_up: *copy_up },
        NewSource::Proc => MountSource::Proc,
        NewSource::Sys => MountSource::Sys,
        NewSource::Dev => MountSource::Dev,
        NewSource::DevPts => MountSource::DevPts,
        NewSource::Mqueue => MountSource::Mqueue,
        NewSource::Cgroup => MountSource::Cgroup,
    };
    Ok(MountSpec { target: new.target.clone().into_bytes(), source, flags: new.flags })
}

fn device(new: &NewDevice) -> DeviceSpec {
    DeviceSpec { path: new.path.clone().into_bytes(), mode: new.mode, number: new.number, uid: new.uid, gid: new.gid }
}

/// A process.
pub fn process(new: &NewProcess, descriptors: &mut Descriptors) -> Result<ProcessSpec> {
    let bytes = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect();
    let stdio = if new.terminal {
        Stdio::Terminal(descriptors.next()?)
    } else {
        Stdio::Files([descriptors.next()?, descriptors.next()?, descriptors.next()?])
    };
    let mut limits = [None; 16];
    for (index, soft, hard) in &new.limits {
        if let Some(limit) = limits.get_mut(*index) {
            *limit = Some(Limit { soft: *soft, hard: *hard });
        }
    }
    Ok(ProcessSpec {
        arguments: bytes(&new.arguments),
        environment: bytes(&new.environment),
        directory: new.directory.clone().into_bytes(),
        credentials: credentials(new),
        limits,
        umask: new.umask,
        stdio,
        oom_score_adjust: new.oom_score_adjust,
        inherited: (0..new.inherited).map(|_| descriptors.next()).collect::<Result<_>>()?,
    })
}

fn credentials(new: &NewProcess) -> Credentials {
    Credentials {
        uid: new.uid,
        euid: new.uid,
        suid: new.uid,
        fsuid: new.uid,
        gid: new.gid,
        egid: new.gid,
        sgid: new.gid,
        fsgid: new.gid,
        groups: new.groups.as_slice().into(),
        permitted: new.permitted,
        effective: new.effective,
        inheritable: new.inheritable,
        bounding: new.bounding,
        ambient: new.ambient,
        secure_bits: 0,
        no_new_privileges: new.no_new_privileges,
    }
}

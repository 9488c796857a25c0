//! On whose kernel a container is to run, and with whose processes: those of its pod's sandbox, or of the container whose namespaces it names.

use crate::config::Spec;
use crate::error::{Error, Result};
use crate::log;
use crate::plan;
use crate::state::State;
use crate::store::{Entry, Store};

/// A pod that is there.
pub struct Pod {
    /// Its first container's.
    pub sandbox: Entry,
    /// The container with which the new one shares process ids.
    pub pids: Option<String>,
}

/// The pod that a container is to be in; `None`: one of its own. An error for a sandbox that has ended, and for namespaces of others.
pub fn find(store: &Store, spec: &Spec) -> Result<Option<Pod>> {
    match plan::sandbox(spec) {
        Some(id) => by_annotation(store, spec, id),
        None => by_namespaces(store, spec),
    }
}

fn by_annotation(store: &Store, spec: &Spec, id: &str) -> Result<Option<Pod>> {
    let Ok(sandbox) = store.open(id) else {
        log::info(&format!("The sandbox \"{id}\" is not quark's: the container gets a kernel of its own"));
        return Ok(None);
    };
    if !sandbox.state()?.alive() {
        return Err(Error::new(format!("The sandbox \"{id}\" of this container has ended")));
    }
    let target = named(spec, "pid").map(|path| owner(store, path));
    let pids = target.map(|target| target.filter(|target| target.sandbox == id).map_or_else(|| id.to_owned(), |target| target.id));
    Ok(Some(Pod { sandbox, pids }))
}

fn by_namespaces(store: &Store, spec: &Spec) -> Result<Option<Pod>> {
    let (pids, ipc) = (named(spec, "pid"), named(spec, "ipc"));
    let Some(path) = pids.or(ipc) else { return Ok(None) };
    let of = |path: &str| {
        let message = format!("The namespace \"{path}\" in `linux.namespaces` is not of a container that quark runs: it can't be joined");
        owner(store, path).ok_or_else(|| Error::new(message))
    };
    let neighbour = of(path)?;
    if ipc.map(of).transpose()?.is_some_and(|other| other.sandbox != neighbour.sandbox) {
        return Err(Error::new("The namespaces of types pid and ipc in `linux.namespaces` are of two pods: they must be of one"));
    }
    let sandbox = store.open(&neighbour.sandbox)?;
    Ok(Some(Pod { sandbox, pids: pids.map(|_| neighbour.id) }))
}

/// The path of the namespace that is to be joined.
fn named<'a>(spec: &'a Spec, kind: &str) -> Option<&'a str> {
    let namespace = spec.linux.as_ref()?.namespace(kind)?;
    Some(namespace.path.as_str()).filter(|path| !path.is_empty())
}

/// The container with this namespace, by its process' id, which for a pod's first one is that of the kernel.
fn owner(store: &Store, path: &str) -> Option<State> {
    let pid = process_of(path)?;
    let states = store.ids().ok()?.into_iter().filter_map(|id| store.open(&id).ok()?.state().ok());
    states.filter(State::alive).find(|state| state.process.is_some_and(|process| process.pid == pid))
}

/// The process of `/proc/PID/ns/KIND`.
fn process_of(path: &str) -> Option<i32> {
    let (pid, kind) = path.strip_prefix("/proc/")?.split_once("/ns/")?;
    if kind.contains('/') { None } else { pid.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_in_paths_of_namespaces() {
        assert_eq!(
            ["/proc/12/ns/pid", "/run/ipcns/x", "/proc/self/ns/ipc", "/proc/12/ns/../x"].map(process_of),
            [Some(12), None, None, None]
        );
    }
}

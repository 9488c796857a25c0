//! The acting part: a fresh stub process that has the program mapped, and its stack.

use std::sync::Arc;

use quark_host::platform::Registers;
use rustix::rand::{GetRandomFlags, getrandom};

use super::busy::Running;
use super::elf::{HEAD, Plan};
use super::layout::{Layout, Mapping, Origin, Random, Wanted, layout};
use super::open::{open_program, read_interpreter, read_loader, read_plan, read_some};
use super::privilege::{FileOwner, after_exec, parse_capabilities};
use super::stack::{self, Stack, Strings};
use super::{Loaded, Request, script};
use crate::file::MapSource;
use crate::memory::{Area, Backing, Flags, Image, Memory, Object, ObjectKind, Protection};
use crate::task::Credentials;
use crate::vfs::mount::MountFlags;
use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

/// ADDR_NO_RANDOMIZE of `personality(2)`.
const NO_RANDOMIZE: u32 = 0x0004_0000;
/// The interrupt flag: user code always runs with it.
const EFLAGS: u64 = 0x202;
/// All capabilities up to CAP_CHECKPOINT_RESTORE.
const CAPABILITIES: u64 = (1 << 41) - 1;

/// Loads a program. ENOEXEC for what is none, E2BIG, EACCES, ENOENT (no interpreter), ELIBBAD, ELOOP, ENOMEM, ETXTBSY.
pub fn load(mut request: Request<'_>) -> Result<Loaded> {
    let called = request.filename.clone();
    if request.arguments.is_empty() {
        // As Linux since 5.18: programs take for granted that there is one.
        request.arguments.push(Vec::new());
    }
    let stack_limit = request.limits.get(libc::RLIMIT_STACK as usize).map_or(u64::MAX, |limit| limit.soft);
    check_strings(&request, stack_limit)?;
    let head = resolve_scripts(&mut request)?;
    let size = check_strings(&request, stack_limit)?;
    let space = request.platform.layout();
    let plan = read_plan(&request.program, &head, space.end)?;
    let loader = match plan.interpreter {
        None => None,
        Some(place) => {
            let path = read_interpreter(&request.program, place)?;
            Some(read_loader(request.fs, request.credentials, &path, space.end)?)
        }
    };
    let (credentials, secure) = credentials(&request)?;
    let (random, seed, skew) = random(request.personality)?;

    let (address_space, context) = request.platform.blank()?;
    let memory = Memory::new(address_space, space);
    let wanted = Wanted {
        program: &plan,
        interpreter: loader.as_ref().map(|(_, plan)| plan),
        random,
        stack_limit,
        stack_least: size + request.filename.len() as u64 + stack::ROOM,
    };
    let layout = memory.with_map(|map| layout(map, &wanted))?;
    let strings = Strings { filename: &called, arguments: &request.arguments, environment: &request.environment, seed };
    let entries = auxiliary(&plan, &layout, &credentials, secure, space.vdso);
    let stack = stack::build(layout.stack.1, &strings, &entries, skew);
    let registers = Registers { rip: layout.entry, rsp: stack.pointer, eflags: EFLAGS, ..Registers::default() };

    let mut loaded = Loaded { memory: Arc::new(memory), context, registers, credentials, name: command_name(&called), secure };
    let parts = Parts { program: &request.program, loader: loader.as_ref().map(|(file, _)| file), plan: &plan };
    install(&mut loaded, &parts, &layout, stack)?;
    Ok(loaded)
}

/// The files of a program.
struct Parts<'a> {
    program: &'a Arc<OpenFile>,
    loader: Option<&'a Arc<OpenFile>>,
    plan: &'a Plan,
}

fn check_strings(request: &Request<'_>, stack_limit: u64) -> Result<u64> {
    stack::check_strings(request.arguments.iter().chain(&request.environment), stack_limit)
}

/// Replaces scripts by their interpreters: the first bytes of what is left.
fn resolve_scripts(request: &mut Request<'_>) -> Result<Vec<u8>> {
    for _ in 0..=script::DEPTH_MAX {
        let head = read_some(&request.program, 0, HEAD)?;
        let Some(script) = script::parse(&head)? else {
            return Ok(head);
        };
        if request.filename_vanishes {
            return Err(Errno::NOENT);
        }
        let file = std::mem::replace(&mut request.filename, script.interpreter.clone());
        let own = request.arguments.split_off(1.min(request.arguments.len()));
        request.arguments = vec![script.interpreter.clone()];
        request.arguments.extend(script.argument);
        request.arguments.push(file);
        request.arguments.extend(own);
        request.program = open_program(request.fs, request.credentials, None, &script.interpreter, true)?;
    }
    Err(Errno::LOOP)
}

/// `comm`: the last component of the path that was called.
fn command_name(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.get(..name.len().min(15)).unwrap_or_default().to_vec()
}

fn credentials(request: &Request<'_>) -> Result<(Credentials, bool)> {
    let file = &request.program;
    let inode = file.file.inode();
    let (mode, uid, gid) = match inode {
        Some(inode) => inode.permissions()?,
        None => (0, 0, 0),
    };
    let attribute = inode.and_then(|inode| inode.extended_attribute(b"security.capability").ok());
    let capabilities = match attribute {
        Some(value) => parse_capabilities(&value)?,
        None => None,
    };
    let no_setuid = file.place.as_ref().is_none_or(|place| place.flags().contains(MountFlags::NO_SETUID));
    after_exec(request.credentials, &FileOwner { mode, uid, gid, capabilities, no_setuid }, CAPABILITIES)
}

/// Random numbers for the layout, for AT_RANDOM, and for the stack's pointer.
fn random(personality: u32) -> Result<(Random, [u8; 16], u64)> {
    let mut bytes = [0_u8; 56];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    let mut words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let mut next = || words.next().unwrap_or_default();
    let seed = (u128::from(next()) << 64 | u128::from(next())).to_le_bytes();
    if personality & NO_RANDOMIZE != 0 {
        return Ok((Random::default(), seed, 0));
    }
    let random = Random { stack: next(), mappings: next(), program: next(), heap: next() };
    Ok((random, seed, next()))
}

/// The auxiliary vector, but for what has to be on the stack (`man 3 getauxval`).
fn auxiliary(plan: &Plan, layout: &Layout, credentials: &Credentials, secure: bool, vdso: u64) -> Vec<(u64, u64)> {
    let (capabilities, more) = rustix::param::linux_hwcap();
    let mut entries = Vec::new();
    if vdso != 0 {
        entries.push((libc::AT_SYSINFO_EHDR, vdso));
    }
    entries.extend([
        (libc::AT_MINSIGSTKSZ, rustix::param::linux_minsigstksz() as u64),
        (libc::AT_HWCAP, capabilities as u64),
        (libc::AT_PAGESZ, crate::memory::PAGE),
        (libc::AT_CLKTCK, 100),
        (libc::AT_PHDR, layout.headers),
        (libc::AT_PHENT, 56),
        (libc::AT_PHNUM, plan.headers.1),
        (libc::AT_BASE, layout.interpreter),
        (libc::AT_FLAGS, 0),
        (libc::AT_ENTRY, layout.program_entry),
        (libc::AT_UID, u64::from(credentials.uid)),
        (libc::AT_EUID, u64::from(credentials.euid)),
        (libc::AT_GID, u64::from(credentials.gid)),
        (libc::AT_EGID, u64::from(credentials.egid)),
        (libc::AT_SECURE, u64::from(secure)),
        (libc::AT_HWCAP2, more as u64),
    ]);
    entries
}

fn object(file: &Arc<OpenFile>) -> Result<Arc<Object>> {
    let source: MapSource = file.file.map(false).map_err(|_| Errno::NOEXEC)?;
    let stat = file.file.stat()?;
    let identity = (stat.device, stat.inode);
    Ok(Arc::new(Object { source, kind: ObjectKind::File(file.clone()), identity }))
}

/// Maps everything in the fresh stub process, and writes its stack.
fn install(loaded: &mut Loaded, parts: &Parts<'_>, layout: &Layout, stack: Stack) -> Result<()> {
    let program = object(parts.program)?;
    let running = Running::new(program.identity)?;
    let loader = parts.loader.map(object).transpose()?;
    let area = |mapping: &Mapping| {
        let backing = match mapping.file {
            None => Some(Backing::Anonymous),
            Some((Origin::Program, offset)) => Some(Backing::Object(program.clone(), offset)),
            Some((Origin::Interpreter, offset)) => loader.clone().map(|loader| Backing::Object(loader, offset)),
        };
        let (start, end) = (mapping.start, mapping.end);
        Some(Area { start, end, protection: mapping.protection, flags: Flags::empty(), backing: backing? })
    };
    let mut areas: Vec<Area> = layout.mappings.iter().filter_map(area).collect();
    let mut protection = Protection::READ | Protection::WRITE;
    protection.set(Protection::EXEC, parts.plan.executable_stack);
    let (start, end) = layout.stack;
    let flags = Flags::GROWS_DOWN | Flags::STACK | Flags::NO_HUGE;
    areas.push(Area { start, end, protection, flags, backing: Backing::Anonymous });

    let image = Image {
        executable: Some(parts.program.clone()),
        running: Some(Arc::new(running)),
        code: layout.code,
        data: layout.data,
        arguments: stack.arguments,
        environment: stack.environment,
        stack: stack.pointer,
        auxiliary: stack.auxiliary,
    };
    loaded.memory.install(&mut loaded.context, areas, (layout.heap, layout.base), image)?;
    for (start, end) in &layout.clear {
        loaded.context.write(*start, &vec![0; (end - start) as usize])?;
    }
    loaded.context.write(stack.pointer, &stack.bytes)?;
    // What the stub itself computed there is nothing of the program's business.
    loaded.context.set_extended(&[])
}

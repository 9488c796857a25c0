//! `/sys`: what programs look for there. Nothing of the host's shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pseudo::{About, Body, Fixed, Folder, Pseudo, PseudoFileSystem};
use crate::Result;

const MAGIC: u64 = 0x6265_6572;

/// Makes the files of one `/sys`.
struct Maker {
    device: u64,
    next: AtomicU64,
}

impl Maker {
    fn about(&self, mode: u32) -> About {
        About { device: self.device, number: self.next.fetch_add(1, Ordering::Relaxed), mode, owner: (0, 0), strict: true }
    }

    fn directory(&self, folder: impl Folder + 'static) -> Arc<Pseudo> {
        Pseudo::new(self.about(0o755), Body::Folder(Box::new(folder)))
    }

    fn empty(&self) -> Arc<Pseudo> {
        self.directory(Fixed::default())
    }

    fn text(&self, make: impl Fn() -> Result<Vec<u8>> + Send + Sync + 'static) -> Arc<Pseudo> {
        Pseudo::new(self.about(0o444), Body::Text(Box::new(make)))
    }

    fn constant(&self, text: &'static str) -> Arc<Pseudo> {
        self.text(move || Ok(text.as_bytes().to_vec()))
    }
}

/// A sysfs.
pub fn file_system() -> Arc<PseudoFileSystem> {
    let make = Maker { device: super::next_device(), next: AtomicU64::new(1) };
    let class = Fixed::default().with("net", make.empty()).with("block", make.empty()).with("tty", make.empty());
    let system = Fixed::default().with("cpu", processors(&make)).with("node", nodes(&make));
    let devices = Fixed::default().with("system", make.directory(system)).with("virtual", make.empty());
    let kernel = Fixed::default()
        .with("mm", make.directory(Fixed::default().with("transparent_hugepage", huge_pages(&make))))
        .with("security", make.empty())
        .with("debug", make.empty())
        .with("tracing", make.empty());
    let fs = Fixed::default().with("cgroup", make.empty()).with("fuse", make.empty());
    let root = Fixed::default()
        .with("block", make.empty())
        .with("bus", make.empty())
        .with("class", make.directory(class))
        .with("dev", make.directory(Fixed::default().with("block", make.empty()).with("char", make.empty())))
        .with("devices", make.directory(devices))
        .with("firmware", make.empty())
        .with("fs", make.directory(fs))
        .with("kernel", make.directory(kernel))
        .with("module", make.empty())
        .with("power", make.empty());
    let about = make.about(0o555);
    PseudoFileSystem::new("sysfs", MAGIC, Pseudo::new(about, Body::Folder(Box::new(root))))
}

fn huge_pages(make: &Maker) -> Arc<Pseudo> {
    let files = Fixed::default()
        .with("enabled", make.constant("always [madvise] never\n"))
        .with("defrag", make.constant("always defer defer+madvise [madvise] never\n"))
        .with("shmem_enabled", make.constant("always within_size advise [never] deny force\n"))
        .with("hpage_pmd_size", make.constant("2097152\n"))
        .with("use_zero_page", make.constant("1\n"));
    make.directory(files)
}

/// `0-3`, or `0` for one.
fn range() -> String {
    match super::proc::processors() {
        0 | 1 => "0".into(),
        count => format!("0-{}", count - 1),
    }
}

fn processors(make: &Maker) -> Arc<Pseudo> {
    let list = || make.text(|| Ok(format!("{}\n", range()).into_bytes()));
    let mut files = Fixed::default()
        .with("online", list())
        .with("possible", list())
        .with("present", list())
        .with("offline", make.constant("\n"))
        .with("isolated", make.constant("\n"))
        .with("kernel_max", make.constant("8191\n"));
    for number in 0..super::proc::processors() {
        files = files.with(&format!("cpu{number}"), processor(make, number));
    }
    make.directory(files)
}

fn processor(make: &Maker, number: usize) -> Arc<Pseudo> {
    let text = |text: String| make.text(move || Ok(text.clone().into_bytes()));
    let topology = Fixed::default()
        .with("core_id", text(format!("{number}\n")))
        .with("physical_package_id", make.constant("0\n"))
        .with("core_siblings_list", make.text(|| Ok(format!("{}\n", range()).into_bytes())))
        .with("thread_siblings_list", text(format!("{number}\n")));
    let mut files = Fixed::default().with("topology", make.directory(topology));
    if number > 0 {
        files = files.with("online", make.constant("1\n"));
    }
    make.directory(files)
}

fn nodes(make: &Maker) -> Arc<Pseudo> {
    let list = make.text(|| Ok(format!("{}\n", range()).into_bytes()));
    let node = Fixed::default().with("cpulist", list).with("distance", make.constant("10\n"));
    let files = Fixed::default()
        .with("online", make.constant("0\n"))
        .with("possible", make.constant("0\n"))
        .with("has_memory", make.constant("0\n"))
        .with("has_cpu", make.constant("0\n"))
        .with("node0", make.directory(node));
    make.directory(files)
}

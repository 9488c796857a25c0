//! What others see of this process' arguments and environment: the memory where the host has put them, at the top of the stack.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    /// The C library's: `argv[0]`, behind which the host has put all other strings.
    static program_invocation_name: *mut c_char;
    static mut environ: *const *const c_char;
}

struct Empty([*const c_char; 1]);
// SAFETY: a null pointer.
unsafe impl Sync for Empty {}
static EMPTY: Empty = Empty([std::ptr::null()]);

/// Shows `title`, as much of it as there is room for, and nothing of what the process was started with.
///
/// # Safety
/// The process must have one thread, and have no reference into its environment.
pub(super) unsafe fn set(title: &CStr) {
    // SAFETY: the strings are one behind the other, from the first argument to the last of the environment, and writable. Where they aren't (the
    // C library has moved some), no more than the first is touched.
    unsafe {
        let start = program_invocation_name;
        if start.is_null() {
            return;
        }
        let mut end = start.add(libc::strlen(start) + 1);
        let mut variable = environ;
        while !variable.is_null() && !(*variable).is_null() {
            let string = *variable;
            if string.addr().wrapping_sub(start.addr()) < STRINGS_MAX {
                end = start.add(string.addr() - start.addr() + libc::strlen(string) + 1).max(end);
            }
            variable = variable.add(1);
        }
        environ = EMPTY.0.as_ptr();
        let room = end.offset_from(start) as usize;
        std::ptr::write_bytes(start, 0, room);
        std::ptr::copy_nonoverlapping(title.as_ptr(), start, title.count_bytes().min(room - 1));
    }
}

/// Linux' limit of them all is a quarter of the stack, and 6 MiB.
const STRINGS_MAX: usize = 6 << 20;

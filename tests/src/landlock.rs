//! A kernel that lets nothing be confined, for one program and all that it starts: a seccomp filter answers the calls of
//! Landlock as a kernel without it does, one that was started without it, or a container whose filter is older than it.
//!
//! Used by [`crate::stack`].

use std::path::Path;
use std::process::Command;

use rustix::io::Errno;

/// In every Debian; our own code calls no kernel interface by hand.
const PERL: &str = "/usr/bin/perl";
/// The three calls have the same numbers on every machine; `seccomp` itself has not. As root, which may do so without giving
/// up what it may become. The filter, an instruction a line: load the call's number; below the first, or above the last: let
/// it be; else that error.
const FILTER: &str = r#"
my $errno = shift;
my %seccomp = (x86_64 => 317, aarch64 => 277);
my $number = $seccomp{(split " ", qx(/bin/uname -m))[0]} or die "no number of seccomp for this machine\n";
my $filter = join "", map { pack "SCCL", @$_ } (
    [0x20, 0, 0, 0],
    [0x35, 0, 2, 444],
    [0x25, 1, 0, 446],
    [0x06, 0, 0, 0x00050000 | $errno],
    [0x06, 0, 0, 0x7fff0000],
);
my $program = pack "Sx![P]P", 5, $filter;
syscall($number, 1, 0, $program) == 0 or die "seccomp: $!\n";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
"#;

/// A command that becomes this program, where Landlock's calls end with this error.
#[must_use]
pub fn refused(errno: Errno, program: &Path) -> Command {
    let mut command = Command::new(PERL);
    command
        .args(["-e", FILTER, &errno.raw_os_error().to_string()])
        .arg(program);
    command
}

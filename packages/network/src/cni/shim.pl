# CNI plugin: hands the container runtime's calls to the network daemon, which wrote this file, and its answers back. A detachment that nobody is there for is written
# down instead, as the name of an empty file, for the daemon that comes next. No module is loaded, "strict" among them: each costs as much as all of this.

my $command = $ENV{CNI_COMMAND} // '';
my ($id, $ifname) = map { $_ // '' } @ENV{qw(CNI_CONTAINERID CNI_IFNAME)};
my $config = do { local $/; <STDIN> } // '';
my ($version) = $config =~ /"cniVersion"\s*:\s*"([^"\\]*)"/;
$version //= $newest;

if ($command eq 'VERSION') {
  print qq({"cniVersion":"$version","supportedVersions":$versions}\n);
  exit;
}
# the request below is lines of text
for (qw(CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_ARGS)) {
  fail($code_environment, "$_ must not have line breaks") if ($ENV{$_} // '') =~ /[\r\n]/;
}
$SIG{PIPE} = 'IGNORE';    # whoever ends the connection may have answered before
$SIG{ALRM} = sub { fail(code_away(), "The network daemon did not answer within $answer_seconds s; try again later") };
alarm $answer_seconds;

my $socket = reach();
# the runtime's own tries are seconds apart
for (my $tries = 0; !$socket && $command eq 'ADD' && $tries < $wait_tries; $tries++) {
  select undef, undef, undef, 0.1;
  $socket = reach();
}
my $why = "$!";
answer(ask($socket)) if $socket;
if ($command eq 'DEL') {
  my $file = write_down();
  # a daemon that came meanwhile may have looked for such files before this one was there; one that comes later looks again
  $socket = reach() or exit;
  my ($status, $body) = ask($socket);
  exit unless $status;
  unlink $file;
  answer($status, $body);
}
fail(code_away(), "The network daemon is away ($why): try again later; it is started by: centaurus network run");

# A connection, or nothing when nobody listens.
sub reach {
  socket(my $connection, 1, 1, 0) or return;                         # AF_UNIX, SOCK_STREAM
  connect($connection, pack 'S a*', 1, $path) or return;
  return $connection;
}

# HTTP status and body; nothing when the connection ended before the whole answer was there.
sub ask {
  my ($connection) = @_;
  my $request = "POST /cni/$command HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " . length($config) . "\r\n";
  for (qw(CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_ARGS)) {
    (my $header = lc) =~ tr/_/-/;
    $request .= "$header: " . ($ENV{$_} // '') . "\r\n";
  }
  $request .= "\r\n$config";
  for (my $sent = 0; $sent < length $request;) {
    $sent += syswrite($connection, $request, length($request) - $sent, $sent) // last;
  }
  my $answer = '';
  1 while sysread $connection, $answer, 65_536, length $answer;
  $why = 'it ended the connection';
  my ($head, $body) = split /\r\n\r\n/, $answer, 2;
  my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
  my ($length) = ($head // '') =~ /^content-length: (\d+)\r?$/im;
  return unless $status && defined $length && length $body == $length;
  return ($status, $body);
}

# Ends with the daemon's own words, if there are any.
sub answer {
  my ($status, $body) = @_;
  return unless $status;
  print "$body\n" if length $body;
  exit($status == 200 ? 0 : 1);
}

# The name says all there is to know, so nothing of it can be half there.
sub write_down {
  fail($code_environment, "CNI_CONTAINERID is no container's id") unless $id =~ /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
  fail($code_environment, "CNI_IFNAME is no device's name") unless $ifname =~ m{^[^/:\s]{1,15}$};
  my $file = "$folder/$id:$ifname";
  my $cannot = "The network daemon is away, and the detachment can't be written down for it";
  opendir(my $list, $folder) or fail(code_away(), "$cannot in $folder: $!");
  if (!-e $file && (() = readdir $list) >= $files_max + 2) {    # "." and ".." are two
    fail(code_away(), "$cannot: $files_max others wait in $folder");
  }
  require IO::Handle;
  force('>', $file) && force('<', $folder) or fail(code_away(), "$cannot in $folder: $!");
  return $file;
}

# Opens a file or folder, and forces it to disk.
sub force {
  my ($mode, $name) = @_;
  open(my $handle, $mode, $name) or return;
  return $handle->sync;
}

# For a runtime that asks whether pods can be attached there is a code of its own.
sub code_away { return $command eq 'STATUS' ? $code_unavailable : $code_later }

sub fail {
  my ($code, $message) = @_;
  $message =~ s/["\\[:cntrl:]]//g;
  print qq({"cniVersion":"$version","code":$code,"msg":"$message"}\n);
  exit 1;
}

package Test::Gray::Halt;

# Copyright (C) the nginx gray module authors
#
#     use Test::Gray::Halt;
#
#     halt_at($pid, 'ngx_http_gray_shm_unlock');
#     ... the process is made to call it ...
#     wait_halted($pid);
#
# or, where it is not known who will, halt_at() for each, and
#
#     my $pid = wait_any_halted(@pids);
#
# Then it is killed, or goes on from there:
#
#     go_on($pid);
#
# can_halt() says whether this can be done here.
#
# A process that comes to a function stands still there, as if it were never
# given the processor again, and can be killed there.  No debugger is needed:
# the function is made to begin with a jump to itself.

use strict;
use warnings;

use Exporter ();
use Fcntl    ();
use POSIX    ();

use Test::Gray;
use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(can_halt go_on halt_at wait_any_halted wait_halted);

my %jump = (
    x86_64  => "\xeb\xfe",
    aarch64 => "\x00\x00\x00\x14",
);

my (%ticks, %symbols, %was);


sub can_halt {
    my ($pid, $function) = @_;

    return $jump{(POSIX::uname())[4]} && address($pid, $function)
           && -w "/proc/$pid/mem";
}


sub halt_at {
    my ($pid, $function) = @_;

    my $jump = $jump{(POSIX::uname())[4]};
    my $at = address($pid, $function);

    open my $memory, '+<:raw', "/proc/$pid/mem"
        or die "/proc/$pid/mem: $!\n";

    sysseek($memory, $at, Fcntl::SEEK_SET)
        && sysread($memory, my $code, length $jump) == length $jump
        or die "/proc/$pid/mem: $!\n";

    $was{$pid} = [ $at, $code ];
    put($pid, $at, $jump);

    $ticks{$pid} = ticks($pid);

    return;
}


sub put {
    my ($pid, $at, $code) = @_;

    open my $memory, '+<:raw', "/proc/$pid/mem"
        or die "/proc/$pid/mem: $!\n";

    sysseek($memory, $at, Fcntl::SEEK_SET) && syswrite($memory, $code)
        or die "/proc/$pid/mem: $!\n";

    return;
}


# the function begins as it did, and the process is let run

sub go_on {
    my ($pid) = @_;

    put($pid, @{ delete $was{$pid} });
    kill 'CONT', $pid;

    return;
}


# by the symbols of the module, and by where the process has it

sub address {
    my ($pid, $function) = @_;

    no warnings 'portable';

    my $file = Test::Gray->module;

    # once: who is to be halted goes on meanwhile

    $symbols{$file} = (capture('nm', $file))[1] unless defined $symbols{$file};

    my ($offset) = $symbols{$file} =~ /^([0-9a-f]+) t \Q$function\E$/m
        or return 0;
    my ($base) = slurp("/proc/$pid/maps")
                 =~ /^([0-9a-f]+)-\S+ \S+ 0+ .* \Q$file\E$/m or return 0;

    return hex($base) + hex($offset);
}


# in the jump it uses the processor; then it is stopped, as others need that

sub wait_halted {
    my ($pid) = @_;

    my $halted = wait_until(sub { ticks($pid) > $ticks{$pid} + 10 });

    kill 'STOP', $pid;

    return $halted;
}


# of several, the first one that does; or nothing

sub wait_any_halted {
    my (@pids) = @_;

    my $first;

    wait_until(sub {
        ($first) = grep { ticks($_) > $ticks{$_} + 10 } @pids;
        return $first;
    });

    kill 'STOP', $first if $first;

    return $first;
}


sub ticks {
    my ($pid) = @_;

    my ($user) = slurp("/proc/$pid/stat") =~ /.*\)(?: \S+){11} (\d+)/s;

    return $user || 0;
}


1;

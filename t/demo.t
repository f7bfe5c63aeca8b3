#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# util/demo shows what it says that it shows, and nothing of it stays, however
# it ends: with or without a terminal, by Ctrl-C, a signal, or a terminal that
# is closed.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

BEGIN { $ENV{TEST_TIME_LIMIT} ||= 600 }

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'is the same for every nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};
plan(skip_all => 'the module is no file of its own')
    if Test::Gray->module eq '';
plan(skip_all => 'no script(1)') if (capture('script', '-V'))[0] != 0;

my $t = Test::Gray->new;
my $demo = "$FindBin::Bin/../util/demo";

# where it makes its directory

local $ENV{TMPDIR} = $t->dir;


# what is there of it: its directory, and processes that have files there

sub left {
    my $place = $t->dir . '/gray-demo-';

    return glob("$place*"),
           grep { my $pid = $_;
                  grep { (readlink || '') =~ /^\Q$place\E/ }
                       glob "/proc/$pid/fd/*" } pids();
}


sub nothing_left {
    my ($name) = @_;

    my $gone = ok(wait_until(sub { !left() }), "$name: nothing is left");

    if (!$gone) {
        diag(join ' ', left());
        kill 'KILL', grep { /^\d+$/ } left();
    }
}


# without a terminal

my ($status, $out, $error) = capture($demo);

is($status, 0, 'without a terminal: status 0') or diag($out, $error);
nothing_left('without a terminal');

my @shares = $out =~ /^ +canary +shop_v2 +([\d.]+)% +(\d+) +[\d,]+/mg;
my @tables = map { [ splice @shares, 0, 2 ] } 1 .. @shares / 2;

is(scalar(@tables), 3, 'three tables');
is(scalar(grep { abs($_->[0] - $_->[1] / 10) > 0.001 } @tables), 0,
   'shares are those of 1,000 users');

my ($before, $after, $killed) = map { $_->[1] } @tables;

# four standard deviations

cmp_ok(abs($before - 50), '<=', 27, "5%: $before users");
cmp_ok(abs($after - 250), '<=', 54, "25%: $after users");
is($killed, 0, 'the kill switch');

like($out, qr/^Each user got the same variant 10 times, from 4 workers\.$/m,
     'sticky');
like($out, qr/^[ ]+"state":[ ]"rolled_back",\n[ ]+"cause":[ ]"guard",\n
             [ ]+"reason":[ ]"errors\w*:[ ]canary[ ].*\n[ ]+"weight":[ ]0,/mx,
     'a rollout goes back');
cmp_ok(($out =~ /^Rolled back ([\d.]+) s after the first error/m)[0] || 99, '<',
       5, '... soon');
like($out, qr/^Users that left the canary: 0, that joined it: (\d+)\.$/m,
     'nobody leaves');
is(($out =~ /that joined it: (\d+)/)[0], $after - $before, 'who joins');


# at a terminal, which script(1) makes: returns its process, that of the demo,
# a handle to type at, and the file of what is shown

sub at_terminal {
    my ($until) = @_;

    my $shown = $t->dir . '/shown';

    unlink $shown;
    pipe my $from, my $keys or die "pipe: $!\n";

    my $terminal = $t->child(sub {
        open STDIN, '<&', $from;
        open STDOUT, '>', $shown;
        close $keys;
        exec 'script', '-q', '-e', '-f', '-c', "exec $demo", '/dev/null';
    });

    $keys->autoflush;

    wait_until(sub { slurp($shown) =~ $until || !alive($terminal) }, 120);

    my ($pid) = children_of($terminal) or diag(slurp($shown));

    return ($terminal, $pid, $keys, $shown);
}


# ends it so; returns the exit status of script(1), which is its

sub end {
    my ($way, $terminal, $pid, $keys) = @_;

    if ($way eq 'Ctrl-C') {
        syswrite $keys, "\x03";

    } elsif ($way eq 'closed') {
        kill 'KILL', $terminal;

    } else {
        kill $way, $pid;
    }

    ok(wait_until(sub { !alive($terminal) && !alive($pid) }),
       "$way: it has ended");

    return $t->reap($terminal) >> 8;
}


# where there is no /dev/pts there are none

if (system("script -qec true /dev/null >/dev/null 2>&1") != 0) {
    note('no terminals can be made here');
    $t->done;
    exit;
}

my $ready = qr/^nginx runs until you press Ctrl-C\. .* directory is (\S+)\r?$/m;

for my $case ([ 'Ctrl-C', 0 ], [ 'TERM', 1 ], [ 'HUP', 1 ], [ 'QUIT', 1 ],
              [ 'closed', 0 ])
{
    my ($way, $wanted) = @$case;
    my ($terminal, $pid, $keys, $shown) = at_terminal($ready);

    my $text = slurp($shown);
    my ($dir) = $text =~ $ready;
    my ($port) = $text =~ m{requests to http://127\.0\.0\.1:(\d+)/};
    my ($master) = slurp(($dir || '') . '/nginx.pid') =~ /(\d+)/;

    is(scalar(children_of($master || 0)), 4, "$way: nginx is there");

    # who is not done with a request holds it up for a while only

    my $slow = $way eq 'TERM'
               && IO::Socket::INET->new('127.0.0.1:' . ($port || 0));

    syswrite $slow, "GET / HTTP/1.1\r\n" if $slow;

    is(end($way, $terminal, $pid, $keys), $wanted, "$way: the status");
    nothing_left($way);
}

# nginx is killed by somebody else

my ($terminal, $pid, $keys, $shown) = at_terminal($ready);
my ($dir) = slurp($shown) =~ $ready;

kill 'KILL', slurp(($dir || '') . '/nginx.pid') =~ /(\d+)/;

ok(wait_until(sub { !alive($terminal) }), 'killed: it has ended');
is($t->reap($terminal), 0, 'killed: the status');
nothing_left('killed');

# and early

($terminal, $pid, $keys) = at_terminal(qr/^nginx runs with 4 workers/m);

is(end('HUP', $terminal, $pid, $keys), 1, 'early: the status');
nothing_left('early');

$t->done;

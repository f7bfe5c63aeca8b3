#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Databases are replaced by rename 100 times under load: each request is
# decided by one version or the other, workers take up each of them, and
# neither descriptors nor memory grow.  Then a worker that is started anew, a
# reload, and a file that goes and comes back.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;
use Test::Gray::Process;

my $files = 10;
my $rounds = 10;

my $t = Test::Gray->new;
my $dir = $t->dir;


# a path in each file for itself, and a path that they have in common

for my $version ('a', 'b') {
    for my $i (0 .. $files - 1) {
        write_mmdb("$dir/$version$i", {},
                   [ '127.0.0.0/8', { "file$i" => $version } ],
                   map { [ "10.$_.0.0/16", { name => "network $_" } ] }
                       0 .. 99);
    }
}


sub put {
    my ($version, $i) = @_;

    link "$dir/$version$i", "$dir/next" or die "link: $!\n";
    rename "$dir/next", "$dir/used$i" or die "rename: $!\n";
}

sub put_all { my ($version) = @_; put($version, $_) for 0 .. $files - 1; }

put_all('a');

my $databases = join "\n    ", map { "gray_geoip used$_;" } 0 .. $files - 1;
my $last = $files - 1;

$t->config(<<"END")->start;
worker_processes 2;

http {
    gray_zone  gray 1m;
    $databases

    gray_release app {
        zone     gray;
        variant  none;
        variant  a;
        variant  b;
        match    a geo.file0 = a and geo.file$last exists;
        match    b geo.file0 = b and geo.file$last exists;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/  { gray_admin; }
        location /       { return 200 "\$pid \$gray_app"; }
    }
}
END

my @workers = $t->workers;


# by fresh connections, what each worker says

sub versions {
    my %said;

    for ($t->many(40, sub { return '/' }, per_connection => 2)) {
        my ($pid, $version) = split ' ', $_->{body};
        $said{$pid}{$version} = 1;
    }

    return \%said;
}

sub all_say {
    my ($version) = @_;

    return wait_until(sub {
        my $said = versions();
        return keys %$said == 2
               && !grep { join(',', keys %$_) ne $version } values %$said;
    });
}

ok(all_say('a'), 'the first version');


# memory of a worker: descriptors, mapped databases, memory in KB

sub use_of {
    my ($pid) = @_;

    my @fds = glob "/proc/$pid/fd/*";
    my $maps = () = slurp("/proc/$pid/maps") =~ /memfd:gray_geoip/g;
    my $status = slurp("/proc/$pid/status");
    my ($rss) = $status =~ /^VmRSS:\s+(\d+)/m;

    return (scalar @fds, $maps, $rss);
}

# until all workers have read all files again; returns how often that was

sub wait_read {
    my ($before, $version) = @_;

    return wait_until(sub {
        my $n = () = $t->log =~ /was read again/g;
        return $n >= $before + $files * @workers;
    }) ? $before + $files * @workers : 0;
}


# load: answers go to a file, as there are many

my $load = $t->child(sub {
    my ($n, %count) = (0);
    my $stop = 0;

    $SIG{TERM} = sub { $stop = 1 };

    while (!$stop) {
        $count{ $_->{status} . ' ' . ($_->{body} =~ /(\w+)$/)[0] }++
            for $t->many(200, sub { return '/' });
    }

    $t->write_file('count', join "\n", map { "$_: $count{$_}" }
                                           sort keys %count);
    POSIX::_exit(0);
});

my $read = 0;
my %first;

for my $round (1 .. $rounds) {
    put_all($round % 2 ? 'b' : 'a');

    $read = wait_read($read) or last;
    %first = map { $_ => [ use_of($_) ] } @workers if $round == 2;
}

is($read, $rounds * $files * @workers,
   $rounds * $files . ' replacements in each worker')
    or diag(scalar(() = $t->log =~ /was read again/g));

ok(all_say('a'), 'the last version');

$t->reap($load);

my %count = $t->read_file('count') =~ /^(.+): (\d+)$/mg;

is(join(', ', sort keys %count), '200 a, 200 b', 'all requests were decided')
    or diag(explain(\%count));

is_deeply([ $t->workers ], \@workers, 'no worker was replaced');

for my $pid (@workers) {
    my @now = use_of($pid);
    my @then = @{ $first{$pid} };

    cmp_ok($now[0], '<=', $then[0] + 2, 'descriptors');
    is($now[1], $files, 'databases that are mapped');
    cmp_ok($now[2], '<', $then[2] + 1024, 'memory')
        unless $ENV{TEST_SANITIZER_LOG} || $ENV{TEST_NGINX_WRAPPER};
}


# a worker that is started anew has what is there, not what the master read

put_all('b');
ok(all_say('b'), 'replaced once more');

$t->kill_worker('KILL', $workers[0]);
$t->expect(qr/worker process $workers[0] exited on signal/);
ok(all_say('b'), 'a new worker');


# the master reads it at a reload

ok($t->reload(gone => 1), 'reload');
ok(all_say('b'), 'after a reload');


# a file that is gone: once in the log of each worker, however long

rename "$dir/used0", "$dir/away" or die "rename: $!\n";

sub said { my ($what) = @_; return scalar(() = $t->log =~ /$what/g); }

ok(wait_until(sub { said('used0" is gone') == 2 }), 'gone');
ok(all_say('b'), 'what was read before stays in use');

my $status = $t->api('GET', '/gray/status')->{json}{geoip}[0];
is($status->{not_used}, 'stat() failed (2: No such file or directory)',
   'in the status');

put('a', 1);
ok(wait_until(sub { said('used1" was read again') >= 2 }), 'time goes on');
is(said('used0" is gone'), 2, 'and nothing is logged again');

put('a', 0);
ok(all_say('a'), 'another one in its place');
ok(!exists $t->api('GET', '/gray/status')->{json}{geoip}[0]{not_used},
   'is in use');

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# 50,000 users at 5%: the share is right, and a user has the same variant in
# another worker, after a reload, and in another nginx.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

# fewer where nginx is slow

my $users = $ENV{TEST_NGINX_WRAPPER} ? 2_000
            : $ENV{TEST_SANITIZER_LOG} ? 10_000 : 50_000;

my $config = <<'END';
worker_processes 4;

http {
    gray_zone gray 1m;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 16; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 16; }

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    keepalive_requests 100000;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant v1 v1;
        variant v2 v2 weight=5%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        location /routed { add_header X-Pid $pid; proxy_pass http://app; }
        location /       { add_header X-Pid $pid; return 200 $gray_app; }
        location = /pid  { return 200 $pid; }
        location /gray/  { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my $t = Test::Gray->new->config($config)->start;


# the variant of each user, and the worker that said so: each worker is asked
# for every fourth user, from another one on with another offset

sub ask {
    my ($t, $path, $offset) = @_;

    my (@variants, @pids);

    my $worker = $t->each_worker('/pid');
    my @connections = map { $worker->{$_} } sort { $a <=> $b } keys %$worker;

    for my $n (0 .. 3) {
        my @users = grep { ($_ + $offset) % 4 == $n } 0 .. $users - 1;

        while (my @some = splice @users, 0, 500) {
            my @responses = $connections[$n]->pipeline(
                map { "$path?uid=user-$_" } @some);

            @variants[@some] = map { $_->{body} } @responses;
            @pids[@some] = map { $_->{headers}{'x-pid'} } @responses;
        }
    }

    return \@variants, \@pids;
}


# all workers, and nothing else, have answered

sub by_workers {
    my ($pids, @workers) = @_;

    my %seen = map { $_ => 1 } @$pids;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply([ sort { $a <=> $b } keys %seen ], \@workers,
              'all four workers take part');
}


sub moved {
    my ($one, $two) = @_;

    return scalar grep { $one->[$_] ne $two->[$_] } 0 .. $users - 1;
}


my ($first, $pids) = ask($t, '/routed', 0);

my %count;
$count{$_}++ for @$first;

is(join(' ', sort keys %count), 'v1 v2', 'only the two variants answer');
cmp_ok(abs($count{v2} - $users * 0.05), '<', 4 * sqrt($users * 0.05 * 0.95),
       "5% within 4 sigma: $count{v2} of $users");
by_workers($pids, $t->workers);

# each user by another worker, and by a third one

my ($again, $others) = ask($t, '/', 1);

is(moved($first, $again), 0, 'the same in another worker');
by_workers($others, $t->workers);
is(moved($pids, $others), $users, '... which is another one for each user');

is(moved($first, (ask($t, '/', 2))[0]), 0, 'and in a third one');

# new workers, the same zone

ok($t->reload(gone => 1), 'reload');

my ($after, $new) = ask($t, '/', 0);

is(moved($first, $after), 0, 'the same after a reload');
by_workers($new, $t->workers);

my %old = map { $_ => 1 } @$pids;

is(scalar(grep { $old{$_} } @$new), 0, '... by new workers');

# a change moves those alone who have to, and back again

sub weight {
    my ($t, $weight) = @_;

    is($t->api('PATCH', '/gray/releases/app',
               { variants => { v2 => { weight => $weight } } })->{status},
       200, "weight $weight");
}


weight($t, 7.5);

my ($grown) = ask($t, '/', 0);
my $left = grep { $first->[$_] eq 'v2' && $grown->[$_] ne 'v2' }
           0 .. $users - 1;

is($left, 0, 'nobody leaves a variant that grows');
cmp_ok(abs(moved($first, $grown) - $users * 0.025), '<',
       4 * sqrt($users * 0.025 * 0.975), 'those who join it are 2.5%');

weight($t, 5);
is(moved($first, (ask($t, '/', 0))[0]), 0, 'the same when it has shrunk');

# another nginx, another zone

my $u = Test::Gray->new->config($config)->start;

is(moved($first, (ask($u, '/', 3))[0]), 0, 'the same in another nginx');

$t->done;

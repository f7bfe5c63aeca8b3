#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# 50,000 users at 5%: the share is right, and a user has the same variant in
# every worker, after a reload, and in another nginx.

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
        listen 127.0.0.1:%%PORT%%;
        location /routed { add_header X-Pid $pid; proxy_pass http://app; }
        location /       { add_header X-Pid $pid; return 200 $gray_app; }
        location /gray/  { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my $t = Test::Gray->new->config($config)->start;


# the variant of each user, asked from the offset on, and the workers seen

sub ask {
    my ($t, $path, $offset) = @_;

    my (@variants, %pids);

    my @responses = $t->many($users, sub {
        my $user = ($_[0] + $offset) % $users;
        return "$path?uid=user-$user";
    }, per_connection => 200);

    for my $i (0 .. $#responses) {
        $variants[($i + $offset) % $users] = $responses[$i]{body};
        $pids{$responses[$i]{headers}{'x-pid'} || 'none'} = 1;
    }

    return \@variants, \%pids;
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
is_deeply([ sort keys %$pids ], [ sort $t->workers ], 'all workers take part');

# other users in each worker

my ($again, $others) = ask($t, '/', 12_345);

is(moved($first, $again), 0, 'the same in every worker');
is(scalar keys %$others, 4, 'all workers take part again');

# new workers, the same zone

ok($t->reload(gone => 1), 'reload');

my ($after, $new) = ask($t, '/', 0);

is(moved($first, $after), 0, 'the same after a reload');
is(scalar(grep { $pids->{$_} } keys %$new), 0, 'by new workers');

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

is(moved($first, (ask($u, '/', 777))[0]), 0, 'the same in another nginx');

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A canary that never answers, and clients that do not wait for as long as nginx
# does: nobody has seen an error, but nothing is known of it either, so it does
# not go on.  A guard that takes 499 for bad rolls it back.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

# takes connections, as the kernel does for it, and says nothing

my $silent = IO::Socket::INET->new(Listen => 4096, LocalAddr => '127.0.0.1',
                                   LocalPort => 0) or die "listen: $!\n";

my $t = Test::Gray->new;
my $config = <<'END';
worker_processes 2;
events { worker_connections 512; }

http {
    gray_zone gray 4m state=state;

    upstream well   { server 127.0.0.1:%%PORT_well%%; }
    upstream silent { server 127.0.0.1:SILENT max_fails=0; }

    gray_release app {
        zone gray;
        variant stable well;
        variant canary silent weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT_well%%;
        return 200;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /      { proxy_pass http://app; }
        location /gray/ { gray_admin; }
    }
}
END

$config =~ s/SILENT/$silent->sockport/e;
$t->config($config)->start;

my $release = '/gray/releases/app';

sub see { return $t->api('GET', "$release/rollout")->{json} }


# starts, and asks until it is not running any more; who was sent to the canary
# has left by then

sub outcome {
    my ($bad, $max_hold) = @_;

    my $r = $t->api('PATCH', $release, { rollout => undef });

    $r = $t->api('PATCH', $release, {
        variants => { canary => { weight => 0 } },
        rollout  => {
            variant => 'canary', steps => [ { weight => 50 }, { weight => 60 } ],
            hold => '1s', max_hold => $max_hold, warmup => '0s',
            cooldown => '1h',
            min_requests => 5, info_nats => 0,
            guards => [ { name => 'errors', bad => $bad, max_ratio => 2 } ],
        },
    });

    die "no plan: $r->{body}\n" if $r->{status} != 200;

    $r = $t->api('POST', "$release/rollout/start");

    die "no start: $r->{body}\n" if $r->{status} != 200;

    wait_until(sub {
        my @clients = map { $t->http->connect } 1 .. 10;

        $_->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") for @clients;
        select undef, undef, undef, 0.1;
        close $_->{socket} for @clients;

        return see()->{state} ne 'running' || see()->{step} != 1;
    });

    return see();
}


my $is = outcome('5xx', '4s');

is($is->{state}, 'paused', 'what nobody has waited for is no evidence');
is($is->{cause}, 'inconclusive', 'which is missing')
    or diag($is->{reason});
is($is->{step}, 1, 'in the first step');

$t->api('POST', "$release/rollout/abort");

is(outcome(['5xx', '499'], '1m')->{state}, 'rolled_back', 'a guard of 499');
is($t->api('GET', $release)->{json}{variants}{canary}{weight}, 0,
   'has taken its weight');

$t->done;

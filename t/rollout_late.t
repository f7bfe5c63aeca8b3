#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Requests that hang while one rollout ends and another one begins: what comes
# of them is the fault of the variant that they were sent to, which is another
# one by then.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $n = 40;

# takes connections, and says nothing

my $hangs = IO::Socket::INET->new(Listen => 2 * $n, LocalAddr => '127.0.0.1',
                                  LocalPort => 0) or die "listen: $!\n";

my $t = Test::Gray->new;
my $config = <<'END';
worker_processes 2;
events { worker_connections 512; }

http {
    gray_zone gray 4m state=state;

    upstream well  { server 127.0.0.1:%%PORT_well%%; }
    upstream hangs { server 127.0.0.1:HANGS max_fails=0; }

    gray_release app {
        zone gray;
        variant stable well;
        variant two hangs weight=0%;
        variant three well weight=0%;
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

$config =~ s/HANGS/$hangs->sockport/e;
$t->config($config)->start;

my $release = '/gray/releases/app';

sub see { return $t->api('GET', "$release/rollout")->{json} }
sub seen { return see()->{guards}[0]{counts} }


sub begin {
    my ($variant, $weight) = @_;

    my $r = $t->api('PATCH', $release, {
        variants => { two => { weight => 0 }, three => { weight => 0 } },
        rollout  => {
            variant => $variant, steps => [ { weight => $weight } ],
            hold => '1h', max_hold => '2h', cooldown => '0s',
            guards => [ { name => 'errors', bad => '5xx', max => 0.05,
                          action => 'rollback' } ],
        },
    });

    die "no plan: $r->{body}\n" if $r->{status} != 200;

    $r = $t->api('POST', "$release/rollout/start");

    die "no start: $r->{body}\n" if $r->{status} != 200;

    return;
}


begin('two', 100);

my @clients = map { $t->http->connect } 1 .. $n;
my @servers;

for my $client (@clients) {
    $client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    push @servers, $hangs->accept || die "accept: $!\n";
}

is($t->api('POST', "$release/rollout/abort")->{status}, 200, 'abort');
begin('three', 50);

ok(wait_until(sub {
    $t->get('/');
    return seen()->{canary}{requests} >= 10 && seen()->{baseline}{requests};
}), 'another variant is asked');

my $before = seen()->{canary}{requests};

close $_ for @servers;

is_deeply([ grep { $_ != 502 } map { $_->receive('GET')->{status} } @clients ],
          [], 'what hung has failed');

# a tick later that is seen, and what came behind it

ok(wait_until(sub {
    $t->get('/');
    return see()->{state} ne 'running'
           || seen()->{canary}{requests} > $before + 10;
}), 'a tick later');

is(see()->{state}, 'running', 'it runs');
is(seen()->{canary}{bad}, 0, 'nothing is counted that was of another one');

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A worker that must end closes connections: that is nobody's fault, and not
# a client that has left, as it is there, too.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Process;

my $http2 = Test::Gray->version_at_least('1.25.1')
    ? 'listen 127.0.0.1:%%PORT_h2%%; http2 on;'
    : 'listen 127.0.0.1:%%PORT_h2%% http2;';

my $t = Test::Gray->new(daemon => 'on');

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t,
    app => 'server 127.0.0.1:%%PORT_v2%%;');


sub configure {
    my ($timeout) = @_;

    $t->config(<<"END");
worker_shutdown_timeout $timeout;

http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        $http2
        ${\$counted->log}

        location / { proxy_pass http://app; }
    }
}
END
}


# a request under way, while workers begin to end

sub reloaded {
    my ($protocol) = @_;

    my $port = $t->port($protocol eq 'http2' ? 'h2' : ());
    my @option = $protocol eq 'http2' ? '--http2-prior-knowledge' : ();

    my $pid = $t->spawn(qw(curl -q -s --noproxy * --max-time 60), @option,
                        '-H', 'X-Do: v2 silent', "http://127.0.0.1:$port/");

    acted($t, 'v2 silent');
    $t->reload;

    return $pid;
}


my @protocols = ('http', Test::Gray->has('--with-http_v2_module') ? 'http2'
                                                                  : ());

configure('300ms');
$t->start;

for my $protocol (@protocols) {
    $counted->case("$protocol, the worker ends", sub {
        waitpid reloaded($protocol), 0;
        return;
    }, 'app canary: local');
}

configure('60s');
$t->reload;

for my $protocol (@protocols) {
    $counted->case("$protocol, the client leaves before", sub {
        my $pid = reloaded($protocol);

        kill 'KILL', $pid;
        waitpid $pid, 0;
        return;
    }, 'app canary: split 499, duration');
}

$t->done;

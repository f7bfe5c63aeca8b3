#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Streams are counted once, and no times of theirs: WebSocket, events, and
# calls of gRPC that go on for long.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use POSIX ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Backend;
use Test::Gray::Counted;
use Test::Gray::Process;
use Test::Gray::Running;
use Test::Gray::WebSocket;

my $t = Test::Gray->new;

$t->daemon(v2 => acting('v2'));
$t->daemon(ws => websocket(sub {
    POSIX::_exit(0) if $_[0] eq 'die';
    return "ws $_[0]";
}));

my $counted = Test::Gray::Counted->new($t,
    app     => 'server 127.0.0.1:%%PORT_v2%%;',
    ws      => 'server 127.0.0.1:%%PORT_ws%%;',
    grpc    => 'server 127.0.0.1:%%PORT_grpc%%;',
    no_grpc => 'server 127.0.0.1:%%PORT_dead%%;');

my $python = '/usr/bin/python3';
my $grpc = Test::Gray->has('--with-http_v2_module')
           && (capture($python, '-c', 'import grpc'))[0] == 0;

my $listen = Test::Gray->version_at_least('1.25.1')
    ? 'http2 on; listen 127.0.0.1:%%PORT_h2%%;'
    : 'listen 127.0.0.1:%%PORT_h2%% http2;';

my $server = $grpc ? <<"END" : '';
    server {
        $listen
        ${\$counted->log}

        location / {
            grpc_pass grpc://grpc;
            if (\$http_x_dead) { grpc_pass grpc://no_grpc; }
        }
    }
END

if ($grpc) {
    $t->spawn($python, "$FindBin::Bin/lib/grpc_server.py", $t->port('grpc'),
              'v2');
    $t->wait_port('grpc');
}

$t->config(<<"END")->start;
http {
${\$counted->http}
$server
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /app            { proxy_pass http://app; }
        location /app/unbuffered { proxy_pass http://app;
                                   proxy_buffering off; }
        location /ws {
            proxy_pass http://ws;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /refused {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Do "v2 404";
        }
    }
}
END


# -- WebSocket

my %ends = (
    'is closed'           => sub { ok($_[0]->close, 'it is closed') },
    'its client is gone'  => sub { undef $_[0] },
    'its backend is gone' => sub { ok(!defined $_[0]->ask('die'), 'gone') },
);

for my $end (sort keys %ends) {
    $counted->case("a WebSocket that $end", sub {
        my $socket = Test::Gray::WebSocket->new($t->http, '/ws');

        is($socket->ask($_), "ws $_", "traffic: $_") for qw(a b c);
        is($counted->live, 'ws canary: live', 'it is live meanwhile');

        $ends{$end}->($socket);
        return;
    }, 'ws canary: split 1xx, stream');
}

$counted->case('an upgrade that is refused', sub {
    ok(!eval { Test::Gray::WebSocket->new($t->http, '/refused') },
       'it is refused');
    return;
}, 'app canary: split 4xx, header, duration');


# -- events

for my $path (qw(app app/unbuffered)) {
    $counted->case("$path: events that end", sub {
        is($t->get("/$path", 'X-Do' => 'v2 events_end')->{body},
           "data: 1\n\n", "$path: events");
    }, 'app canary: split 2xx, stream');

    $counted->case("$path: events until the client is gone", sub {
        my $connection = $t->http->connect;

        $connection->send(Test::Gray::HTTP::request_text(
                              'GET', "/$path", [ 'X-Do' => 'v2 events' ]));

        acted($t, 'v2 events');
        is($counted->live, 'app canary: live', "$path: live meanwhile");
        return;
    }, 'app canary: split 2xx, stream');
}


# -- gRPC

sub calls {
    my (@calls) = @_;

    my $json = JSON::PP->new;
    my $file = $t->write_file('calls.json', $json->encode(\@calls));
    my ($status, $out, $err) = capture('/bin/sh', '-c',
        'exec "$0" "$1" "$2" < "$3"', $python,
        "$FindBin::Bin/lib/grpc_client.py", $t->port('h2'), $file);

    diag($err) if $status != 0;

    return join ' ', map { $_->{code} } @{ $json->decode($out || '[]') };
}


my $running = Test::Gray::Running->new($t);
my %unary = (method => 'Unary', messages => [ 'a' ]);
my %stream = (method => 'Stream', messages => [ qw(a b c) ]);

for (
    [ 'calls', 3, 'OK OK OK', [ (\%unary) x 3 ],
      'grpc canary: split 2xx x3, header x3, duration x3' ],
    [ 'a call that fails by its trailer', 1, 'FAILED_PRECONDITION',
      [ { %unary, method => 'Fail' } ],
      'grpc canary: split 2xx, header, duration' ],
    [ 'a short stream', 1, 'OK', [ \%stream ],
      'grpc canary: split 2xx, header, duration' ],
    [ 'a long stream', 1, 'OK', [ { %stream, pause => 0.6 } ],
      'grpc canary: split 2xx, stream' ],
    [ 'refused', 1, 'UNAVAILABLE',
      [ { %unary, metadata => { 'x-dead' => 'yes' } } ],
      'no_grpc canary: split 5xx, connect, duration' ],
) {
    my ($name, $requests, $codes, $calls, @expected) = @$_;

    SKIP: {
        skip 'no python3-grpcio, or no HTTP/2', 2 unless $grpc;

        # what is short is not to be made long by the machine

        my $said = $running->in_time(0.5, sub { calls(@$calls) },
                                     sub { $counted->forget($requests) });

        $counted->cases($requests, "gRPC: $name", sub {
            is($said, $codes, "gRPC: $name: codes");
        }, @expected);
    }
}

$t->done;

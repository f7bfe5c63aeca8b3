#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# grpc_pass to a release, with a real gRPC server and client.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;
use Test::Gray::Release;

my $python = '/usr/bin/python3';

plan(skip_all => 'no python3-grpcio')
    if (capture($python, '-c', 'import grpc'))[0] != 0;
plan(skip_all => 'nginx without HTTP/2')
    unless Test::Gray->has('--with-http_v2_module');

my $t = Test::Gray->new;
my $json = JSON::PP->new->canonical;

for my $name (qw(v1 v2)) {
    $t->spawn($python, "$FindBin::Bin/lib/grpc_server.py", $t->port($name),
              $name);
}

my $listen = Test::Gray->version_at_least('1.25.1')
    ? 'http2 on; listen 127.0.0.1:%%PORT_NAME%%;'
    : 'listen 127.0.0.1:%%PORT_NAME%% http2;';
my ($grpc, $set) = map { $listen =~ s/NAME/$_/r } qw(grpc set);

$t->config(<<"END")->start;
http {
    gray_zone gray 1m;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 4; }

    gray_release app {
        zone gray;
        hash \$http_x_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        match canary \$http_x_canary = always;
    }

    server {
        $grpc
        location / { grpc_pass grpc://app; }
    }

    # a name that is made for each request

    server {
        $set
        location / { set \$to app; grpc_pass \$to; }
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

$t->wait_port($_) for qw(v1 v2);


sub calls {
    my ($port, @calls) = @_;

    my $file = $t->write_file('calls.json', $json->encode(\@calls));
    my ($status, $out, $err) = capture('/bin/sh', '-c',
        'exec "$0" "$1" "$2" < "$3"', $python,
        "$FindBin::Bin/lib/grpc_client.py", $t->port($port), $file);

    diag($err) if $status != 0;

    return $status == 0 ? @{ $json->decode($out) } : ();
}


sub metadata {
    my ($request) = @_;

    return { 'x-uid' => $request->{uid},
             $request->{canary} ? ('x-canary' => 'always') : () };
}


for my $case ([ grpc => 'Unary' ], [ grpc => 'Stream' ], [ set => 'Unary' ]) {
    my ($port, $method) = @$case;

    follows_release($t, 'app', sub {
        my (@requests) = @_;

        my @messages = $method eq 'Stream' ? ('a', 'b', 'c') : ('a');
        my @results = calls($port, map { { method   => $method,
                                           messages => \@messages,
                                           metadata => metadata($_) } }
                                   @requests);

        return map {
            my $name = $_->{served_by} || '';
            my $right = join ' ', map { "$name:$_" } @messages;

            $_->{code} eq 'OK' && "@{ $_->{messages} }" eq $right
                ? $name : $json->encode($_);
        } @results;
    });
}

for my $case ([ 'v1', {} ], [ 'v2', { canary => 1 } ]) {
    my ($name, $request) = @$case;

    is_deeply([ calls('grpc', { method => 'Fail', messages => [ 'a' ],
                                metadata => metadata({ uid => 'u',
                                                       %$request }) }) ],
              [ { code => 'FAILED_PRECONDITION', messages => [],
                  details => "$name has failed", served_by => $name } ],
              "a status of $name passes");
}

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The log formats of the docs and of the examples: each line is JSON, and says
# how the request was decided and counted, whatever becomes of it.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Process;

my %release = ('docs/variables.md' => 'checkout', 'examples/watch.conf' => 'shop');
my $formats = '';

for my $file (sort keys %release) {
    my ($format) = slurp("$FindBin::Bin/../$file")
                   =~ /^\s*log_format gray (escape=json\s.*?';)/ms;

    ok($format, "$file has a format") or next;

    $formats .= "log_format $release{$file} $format\n";
}

my $t = Test::Gray->new;

$t->daemon($_ => acting($_)) for qw(v1 v2);

$t->config(<<"END")->start;
worker_shutdown_timeout 300ms;

http {
    gray_zone gray 4m;
    access_log off;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    $formats

    @{[ map { <<"RELEASE" } sort values %release ]}
    gray_release $_ {
        zone     gray;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=20%;
        match    canary \$http_x_canary = y name=testers;
    }
RELEASE

    server {
        listen 127.0.0.1:%%PORT%%;

        @{[ map { <<"LOCATION" } sort values %release ]}
        location /$_/ {
            proxy_pass http://$_;
            access_log %%DIR%%/$_.log $_;
        }
LOCATION
    }
}
END

for my $name (sort values %release) {

    $t->get("/$name/?u=1");
    $t->get("/$name/", 'X-Canary' => 'y', 'X-Do' => 'v2 500');
    $t->get("/$name/\"\\?u=1", 'X-Canary' => 'y', 'X-Do' => 'v2 close');

    # who has waited for too long while nginx is reloaded gets no status

    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text(
                          'GET', "/$name/last", [ 'X-Do' => 'v1 silent' ]));

    acted($t, 'v1 silent');

    ok($t->reload(gone => 1), "$name: the worker has ended");

    my @lines = split /\n/, slurp($t->dir . "/$name.log");

    is(@lines, 4, "$name: a line for each request");

    my @log = map { eval { JSON::PP->new->utf8->decode($_) } || {} } @lines;

    is(grep({ !%$_ } @log), 0, "$name: each is JSON");

    is_deeply([ map { $_->{variant} } @log ],
              [ qw(stable canary canary stable) ], "$name: variants");
    is_deeply([ map { $_->{rule} } @log ], [ '', 'testers', 'testers', '' ],
              "$name: rules");
    is_deeply([ map { $_->{outcome} } @log ], [ qw(2xx 5xx 5xx local) ],
              "$name: outcomes");
    is_deeply([ map { $_->{failures} } @log ], [ '', '', 'reset', '' ],
              "$name: failures");
    is_deeply([ map { $_->{status} } @log ], [ qw(200 500 502 000) ],
              "$name: status");
    is($log[0]{revision}, 1, "$name: revision");
    like($log[0]{bucket}, qr/^\d+$/, "$name: bucket");
    like($log[0]{header_seconds}, qr/^\d+\.\d{3}$/, "$name: time to header");
    is($log[2]{uri}, "/$name/\"\\?u=1", "$name: what is escaped");
}

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: status, and what it says after nginx.conf has changed under
# a live document.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;


my $t = Test::Gray->new;


sub conf {
    my ($upstreams, $releases) = @_;

    return $t->config(<<"END");
worker_processes 2;

http {
    gray_zone  gray  1m;
    gray_zone  small 512k document=4k;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    $upstreams

    gray_release app {
        zone     gray;
        hash     \$cookie_uid;
        variant  stable app_v1;
        variant  canary app_v1 weight=0%;
    }

    $releases

    server {
        listen  127.0.0.1:%%PORT%%;

        location /gray/ { gray_admin; }
        location /      { proxy_pass http://app; }
    }

    server {
        listen  127.0.0.1:%%PORT_v1%%;
        return  200 "v1";
    }

    server {
        listen  127.0.0.1:%%PORT_v2%%;
        return  200 "v2";
    }
}
END
}


sub status { return $t->api('GET', '/gray/status')->{json} }


# a worker compiles a document when it needs it

sub health {
    my ($release) = @_;

    return (grep { $_->{release} eq $release } @{ status()->{releases} })[0];
}

my $app_v2 = 'upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }';
my $gone = 'gray_release gone { zone small; variant off; '
           . 'variant on weight=1%; }';

conf($app_v2, $gone)->start;

my $status = status();

is_deeply([ sort keys %$status ],
          [ qw(geoip nginx pid releases version worker workers zones) ], 'members');
is($status->{nginx}, $t->version, 'version of nginx');
is($status->{workers}, 2, 'workers');
ok((grep { $_ == $status->{pid} } $t->workers), 'pid of a worker');
like($status->{worker}, qr/^[01]$/, 'number of the worker');

is_deeply([ map { $_->{zone} } @{ $status->{zones} } ], [ qw(gray small) ],
          'zones');
is_deeply([ map { $_->{size} } @{ $status->{zones} } ],
          [ 1024 * 1024, 512 * 1024 ], 'their sizes');
is_deeply([ map { $_->{document} } @{ $status->{zones} } ],
          [ 65536, 4096 ], 'sizes of documents');
is_deeply([ map { $_->{undeclared} } @{ $status->{zones} } ], [ [], [] ],
          'nothing is left over');

for my $zone (@{ $status->{zones} }) {
    cmp_ok($zone->{free}, '>', 0, "$zone->{zone}: free");
    cmp_ok($zone->{free}, '<', $zone->{size} - 2 * $zone->{document},
           "$zone->{zone}: in use");
}

is_deeply([ map { $_->{release} } @{ $status->{releases} } ],
          [ qw(app gone) ], 'releases');


# a release that is removed, and a variant's upstream

$t->api('PATCH', '/gray/releases/app',
        { variants => { canary => { upstream => 'app_v2', weight => 100 } } });
is($t->get('/', Cookie => 'uid=1')->{body}, 'v2', 'canary');

conf('', '');
ok($t->reload(gone => 1), 'reload');

is_deeply([ map { $_->{undeclared} } @{ status()->{zones} } ],
          [ [], [ 'gone' ] ], 'a release that was removed');
is($t->get('/gray/releases/gone')->{status}, 404, 'is not served');

my $state = health('app');
is($state->{health}, 'the document names what nginx.conf does not have',
   'an upstream is missing');
is($state->{revision}, 2, 'the live document stays');
is($state->{origin}, 'api', 'of the API');
is($state->{degraded}, 0, 'nobody has been degraded yet');
is($t->get('/', Cookie => 'uid=1')->{body}, 'v1', 'the baseline serves');
is(health('app')->{degraded}, 1, 'and is counted');

my $told = $t->api('POST', '/gray/releases/app/explain',
                   { '$cookie_uid' => 1 })->{json};
is($told->{variant}, 'canary', 'explained');
like($told->{detail}, qr/^the document names what nginx\.conf does not have/,
     'explained: detail');

# the document can still be changed, but not to another name that is missing

is($t->api('PATCH', '/gray/releases/app',
           { enabled => JSON::PP::false() })->{status}, 200,
   'a change that keeps what is missing');
is($t->get('/', Cookie => 'uid=1')->{body}, 'v1', 'the kill switch works');
is($t->api('PATCH', '/gray/releases/app',
           { enabled => JSON::PP::true() })->{status}, 200, 'and back');

my $response = $t->api('PATCH', '/gray/releases/app',
                       { variants => { canary => { upstream => 'x' } } });
is($response->{status}, 422, 'another name that is missing');
is($response->{json}{errors}[0]{pointer}, '/variants/canary/upstream',
   'is refused for it');
is($t->api('PATCH', '/gray/releases/app', { variants => { canary => {
           upstream => 'app_v1' } } })->{status}, 200, 'a change that mends');
is(health('app')->{health}, 'ok', 'mended');


# the baseline's upstream

conf($app_v2, $gone);
ok($t->reload(gone => 1), 'reload');
is(health('gone')->{health}, 'ok', 'a release that is back');

$t->api('PATCH', '/gray/releases/app',
        { variants => { stable => { upstream => 'app_v2' } } });

conf('', $gone);
ok($t->reload(gone => 1), 'reload');

is(health('app')->{health},
   "the baseline's upstream is gone, what nginx.conf declares serves",
   'the baseline is missing');
is($t->get('/', Cookie => 'uid=1')->{body}, 'v1', 'as declared');
$told = $t->api('POST', '/gray/releases/app/explain',
                { '$cookie_uid' => 1 })->{json};
is($told->{upstream}, 'app_v1', 'as is explained');
is($t->api('PATCH', '/gray/releases/app',
           { enabled => JSON::PP::false() })->{status}, 200,
   'the kill switch can be flipped');
is($t->get('/', Cookie => 'uid=1')->{body}, 'v1', 'to the declared baseline');
like($told->{detail}, qr/^the baseline's upstream is gone/, 'and why');

is($t->api('DELETE', '/gray/releases/app')->{status}, 200, 'DELETE');
is(health('app')->{health}, 'ok', 'mends it');

$t->done;

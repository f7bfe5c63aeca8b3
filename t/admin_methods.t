#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: what changes a document, and under which conditions.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release app {
        zone     gray;
        hash     $cookie_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=5%;
        match    canary $http_x_canary = always;
    }

    server {
        listen  127.0.0.1:%%PORT%%;

        location /gray/ { gray_admin; }
        location /seen  { return 200 "$gray_app_revision"; }
    }
}
END

my $app = '/gray/releases/app';


sub status {
    my ($method, $path, $data, @headers) = @_;

    return $t->api($method, $path, $data, @headers)->{status};
}


sub revision { return $t->api('GET', $app)->{json}{revision} }


# -- changes

my $r;
my $document = $t->api('GET', $app)->{json};

is(status('PUT', $app, $document), 200, 'GET, PUT');
is(revision(), 1, 'that changes nothing: no revision');
is($t->api('GET', $app)->{json}{origin}, 'nginx.conf', 'nor a new origin');

$r = $t->api('PATCH', "$app?dry_run=1",
             { variants => { canary => { weight => 20 } } });
is($r->{status}, 200, 'dry_run');
is($r->{headers}{'x-gray-dry-run'}, 1, 'dry_run: header');
is($r->{json}{revision}, 2, 'dry_run: revision');
is($r->{json}{variants}{canary}{weight}, 20, 'dry_run: weight');
is(revision(), 1, 'dry_run: nothing is changed');

$r = $t->api('PATCH', "$app?dry_run=0",
             { variants => { canary => { weight => 20 } } });
is($r->{headers}{etag}, '"2"', 'PATCH: ETag');
is($r->{json}{variants}{canary}{weight}, 20, 'PATCH: weight');
is_deeply($r->{json}{allocation}, { canary => [ [ 0, 200000 ] ] },
          'PATCH: allocation');
is($r->{json}{origin}, 'api', 'PATCH: origin');
ok($r->{json}{declared_differs}, 'PATCH: differs');
is($t->get('/seen')->{body}, 2, 'it is in force');
ok($t->wait_log(qr/\[notice\].*\ gray:\ release\ "app"\ revision\ 2
                   \ by\ 127\.0\.0\.1\ \(PATCH\)/x),
   'and in the log');

is_deeply($t->api('GET', $app)->{json}, $r->{json}, 'GET serves the same');

$r = $t->api('PUT', $app, $document);
is($r->{status}, 409, 'old revision');
like($r->{json}{detail}, qr/of revision 1, the current one is 2;/,
     'both are told');

delete $document->{revision};
is(status('PUT', "$app?dry_run=1", $document), 200, 'PUT without a revision');

$document = $t->api('GET', $app)->{json};
$document->{variants}{canary}{weight} = 30;
is($t->api('PUT', $app, $document)->{json}{revision}, 3, 'GET, edit, PUT');

# If-Match: value, status

my @conditions = (
    [ '"3"', 200 ], [ '*', 200 ], [ '"1", "3"', 200 ], [ '"1" ,"3"', 200 ],
    [ 'W/"3"', 412 ], [ '"2"', 412 ], [ '3', 412 ], [ '', 412 ],
    [ '"1", W/"3"', 412 ], [ '"3', 412 ], [ '"13"', 412 ],
);

for (@conditions) {
    my ($value, $status) = @$_;

    for my $method (qw(PATCH DELETE)) {
        is(status($method, "$app?dry_run=1", $method eq 'PATCH' ? {} : undef,
                  'If-Match' => $value), $status,
           "$method, If-Match: $value");
    }
}

$r = $t->api('PATCH', $app, { enabled => JSON::PP::false() },
             'If-Match' => '"3"', 'If-Unmodified-Since' => 'x');
is($r->{status}, 200, 'If-Match of what was changed');
is($r->{headers}{etag}, '"4"', 'its ETag');


# -- patches: type, patch, status, detail or pointer

my $merge = 'application/merge-patch+json';
my $patch = 'application/json-patch+json';

my @patches = (
    [ $merge, { enabled => JSON::PP::true() }, 200 ],
    [ "$merge; charset=utf-8", {}, 200 ],
    [ 'Application/JSON ;charset=UTF-8', {}, 200 ],
    [ $merge, { revision => 4 }, 409 ],
    [ $merge, { revision => 5 }, 200 ],
    [ $merge, { revision => 5.5 }, 422, '/revision' ],
    [ $merge, { revision => undef }, 200 ],
    [ $merge, '7', 422, '' ],
    [ $merge, { variants => undef }, 422, '/baseline' ],
    [ $patch, [ { op => 'replace', path => '/variants/canary/weight',
                  value => 40 } ], 200 ],
    [ $patch, [ { op => 'test', path => '/revision', value => 6 } ], 200 ],
    [ $patch, [ { op => 'test', path => '/revision', value => 1 } ], 409,
      '/0/value' ],
    [ $patch, [ { op => 'remove', path => '/nothing' } ], 422, '/0/path' ],
    [ $patch, [ { op => 'move' } ], 422, '/0' ],
    [ $patch, {}, 422, '' ],
    [ $patch, [ { op => 'replace', path => '', value => 1 } ], 422, '' ],
    [ $patch, [ { op => 'replace', path => '/variants/canary/weight',
                  value => 101 } ], 422, '/variants/canary/weight' ],
    [ 'text/plain', {}, 415 ],
    [ 'application/jsonp', {}, 415 ],
    [ 'application/x-www-form-urlencoded', '{}', 415 ],
    [ '', {}, 415 ],
);

for (@patches) {
    my ($type, $data, $status, $pointer) = @$_;
    my $name = "$type " . (ref $data ? JSON::PP->new->canonical->encode($data)
                                     : $data);

    $r = $t->api('PATCH', $app, $data, 'Content-Type' => $type);
    is($r->{status}, $status, $name);
    is($r->{json}{errors}[0]{pointer}, $pointer, "$name: pointer")
        if defined $pointer;
}

$r = $t->request('PATCH', $app, [ 'Content-Type' => 'text/plain' ], '{}');
like($r->{body}, qr/use curl --json/, '415: help');
is($r->{headers}{'accept-patch'},
   'application/json, application/merge-patch+json, '
   . 'application/json-patch+json', '415: Accept-Patch');

is(status('PUT', $app, {}, 'Content-Type' => $merge), 415, 'PUT is no patch');
is(status('PATCH', $app, undef), 415, 'no body, no type');
is($t->request('PATCH', $app, [ 'Content-Type' => $merge ])->{status}, 400,
   'no body');


# -- back to nginx.conf

$r = $t->api('DELETE', "$app?dry_run=1");
is($r->{json}{variants}{canary}{weight}, 5, 'DELETE, dry_run');

my $before = revision();
$r = $t->api('DELETE', $app);
is($r->{status}, 200, 'DELETE');
is($r->{json}{revision}, $before + 1, 'DELETE: a new revision');
is($r->{json}{origin}, 'nginx.conf', 'DELETE: origin');
ok(!$r->{json}{declared_differs}, 'DELETE: does not differ');
is($r->{json}{variants}{canary}{weight}, 5, 'DELETE: weight');

is($t->api('DELETE', $app)->{json}{revision}, $before + 1, 'DELETE twice');
is(status('DELETE', $app, {}), 400, 'DELETE with a body');

# what says the same by the API is put back as nginx.conf's

$t->api('PATCH', $app, { enabled => JSON::PP::false() });
$t->api('PATCH', $app, { enabled => JSON::PP::true() });
is($t->api('GET', $app)->{json}{origin}, 'api', 'the same, by the API');
is($t->api('DELETE', $app)->{json}{origin}, 'nginx.conf', 'reset');

$t->done;

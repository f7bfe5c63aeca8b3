#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A live document that names what nginx.conf has lost: rules over it never
# hold, all others go on, and the release can still be steered.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;


my $database = 'gray_geoip geo.mmdb;';
my $map = 'map $arg_x $mapped { default ""; a a; b b; }';
my $t = Test::Gray->new;
my $false = JSON::PP::false();

write_mmdb($t->dir . '/geo.mmdb', {},
           [ '127.0.0.0/8', { country => { iso_code => 'DE' } } ]);


sub config {
    my ($zone, $http) = @_;

    return <<"END";
http {
    $zone
    $http

    gray_release feature {
        zone     gray;
        hash     \$arg_uid;
        variant  off;
        variant  on;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location /      { return 200 "\$gray_feature \$gray_feature_rule"; }
    }
}
END
}


sub ask { return $t->get($_[0])->{body} }


sub change {
    my ($change, $name) = @_;

    my $response = $t->api('PATCH', '/gray/releases/feature', $change);

    is($response->{status}, 200, $name) or diag($response->{body});
}


$t->config(config('gray_zone gray 4m state=state;',
                  "$database $map"))->start;

is($t->request('PUT', '/gray/lists/vip', [ 'Content-Type' => 'text/plain' ],
               "a\n")->{status}, 201, 'a list');

# more rules over one lost name than a document may have attributes

my @lost = map {
    ( { name => "v$_", when => { '$mapped' => "v$_" }, variant => 'on' },
      { name => "g$_", when => { 'geo.country.iso_code' => "V$_" },
        variant => 'on' } )
} 1 .. 200;

change({ rules => [
    @lost,
    { name => 'map', when => { '$mapped' => 'a' }, variant => 'on' },
    { name => 'geo', when => { 'geo.country.iso_code' => 'DE', '$arg_g' => 1 },
      variant => 'on' },
    { name => 'of', when => { percent => { gte => 0, of => '$mapped' } },
      variant => 'on' },
    { name => 'list', when => { '$arg_y' => { in_list => 'vip' } },
      variant => 'on' },
    { name => 'nolist', when => { not => { '$arg_z' => { in_list => 'vip' } },
                                  '$arg_z' => { ne => 'q' } },
      variant => 'on' },
    { name => 'absent', when => { '$mapped' => { exists => $false } },
      variant => 'on' },
    { name => 'kept', when => { '$arg_k' => '1' }, variant => 'on' },
] }, 'the document');

is(ask('/?x=a&z=q'), 'on map', 'the map');
is(ask('/?g=1&z=q'), 'on geo', 'geo');
is(ask('/?y=a&z=q'), 'on list', 'the list');
is(ask('/?z=b'), 'on nolist', 'not of the list');
is(ask('/?x=b&z=q'), 'on of', 'percent of the map');

$t->config(config('gray_zone gray 4m;', ''))->reload;

is(ask('/?x=a&g=1&y=a&z=q'), 'off ', 'none of what is lost');
is(ask('/?z=b'), 'off ', 'not below "not" either');
is(ask('/?x=a&z=q&k=1'), 'on kept', 'the other rule');

my $told = $t->api('POST', '/gray/releases/feature/explain',
                   { '$arg_k' => 1, '$arg_z' => 'q' })->{json};

is("$told->{variant} $told->{rule}", 'on kept', 'explained');
is_deeply([ grep { $_->{holds} } @{ $told->{rules} } ],
          [ { rule => 'kept', holds => JSON::PP::true() } ],
          'what is lost does not hold in explanations');

change({ enabled => $false }, 'the kill switch');
is(ask('/?k=1&z=q'), 'off ', 'disabled');
change({ enabled => JSON::PP::true() }, 'and back');
is(ask('/?k=1&z=q'), 'on kept', 'enabled');

# what has come back holds again

$t->config(config('gray_zone gray 4m state=state;',
                  "$database $map"))->reload;

is(ask('/?x=a&z=q'), 'on map', 'the map is back');
is(ask('/?g=1&z=q'), 'on geo', 'geo is back');
is(ask('/?y=a&z=q'), 'on list', 'the list is back');

$t->expect(qr/names are unknown to nginx\.conf/);

$t->done;

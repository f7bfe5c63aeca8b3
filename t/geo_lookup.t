#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# geo.PATH against mmdblookup, for 1,000 addresses of both families: what
# requests are decided to, and what explain says that a record has.

use strict;
use warnings;

use FindBin;
use Socket qw(inet_ntop AF_INET AF_INET6);
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;

my @codes = qw(AT BE CN DE ES FR GB HK IT JP);


# networks of all sizes within each other, and addresses in and beside them

srand(3);

my (@networks, @addresses);

sub address { return pack 'N*', map { int rand 2**32 } 1 .. $_[0] }

for my $i (0 .. 799) {
    my $words = $i % 2 ? 1 : 4;
    my $family = $i % 2 ? AF_INET : AF_INET6;
    my $address = address($words);

    # as addresses of IPv6 are read as ::/96 too: leave that to IPv4

    substr $address, 0, 1, "\x20" if $words == 4;

    my $bits = ($words == 1 ? 4 : 8) + int rand($words == 1 ? 29 : 121);
    my $kept = substr unpack('B*', $address), 0, $bits;
    my $first = pack 'B*', $kept . '0' x ($words * 32 - $bits);

    push @networks, [ inet_ntop($family, $first) . "/$bits", {
        id       => int rand 2**32,
        latitude => (int rand 360000 - 180000) / 1000,
        flag     => $i % 3 ? 1 : 0,
        country  => { iso_code => $codes[rand @codes] },
        parts    => [ { code => 'first' }, { code => "part-$i" } ],
    } ];

    push @addresses, inet_ntop($family, $address) if $i < 600;
    push @addresses, inet_ntop($family, address($words)) if $i >= 400;
}

is(scalar @addresses, 1000, '1000 addresses');


my $t = Test::Gray->new;
my $file = $t->dir . '/world.mmdb';

write_mmdb($file, { bits => 28 }, @networks);

my $variants = join "\n        ", map { "variant  \L$_;" } @codes;
my $matches = join "\n        ",
              map { "match    \L$_\E geo.country.iso_code = $_;" } @codes;

$t->config(<<"END")->start;
http {
    gray_zone   gray 1m;

    gray_release where {
        zone     gray;
        variant  nowhere;
        $variants
        $matches
    }

    # may come behind what uses it, and is below the configuration's directory

    gray_geoip  world.mmdb;

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/  { gray_admin; }
        location /       { return 200 \$gray_where; }
    }
}
END


# requests, by the address that realip leaves

my @records = map { mmdblookup($file, $_) } @addresses;

my @responses = $t->many(scalar @addresses, sub {
    return ('/', 'X-Real-IP' => $addresses[$_[0]]);
});

my @wrong = grep {
    $responses[$_]{body}
        ne lc($records[$_] ? $records[$_]{iso_code} : 'nowhere')
} 0 .. $#addresses;

is(scalar @wrong, 0, 'requests are decided by the record')
    or diag("$addresses[$wrong[0]]: $responses[$wrong[0]]{body}");

my $found = grep { defined } @records;
cmp_ok($found, '>', 400, 'many addresses have a record');
cmp_ok($found, '<', 950, 'and some have none');

is(scalar(grep { defined $records[$_] && $addresses[$_] =~ /:/ }
               0 .. $#addresses) > 200, 1, 'of IPv6, too');


# explain: what was seen

$t->api('PATCH', '/gray/releases/where', { rules => [
    map { { when => $_, variant => 'at' } }
        { 'geo.id' => -1 }, { 'geo.latitude' => 1000 },
        { 'geo.flag' => 'x' }, { 'geo.parts.1.code' => 'x' },
        { 'geo.country.iso_code' => 'x' },
] });

@wrong = ();

for my $i (0 .. $#addresses) {
    my $told = $t->api('POST', '/gray/releases/where/explain',
                       { '$remote_addr' => $addresses[$i] })->{json};
    my @seen = map { $_->{failed}{value} } @{ $told->{rules} };
    my @expected = $records[$i]
                   ? @{ $records[$i] }{qw(id latitude flag code iso_code)}
                   : (undef) x 5;

    my $same = grep {
        !defined $seen[$_] ? !defined $expected[$_]
        : $_ < 2 ? $seen[$_] == $expected[$_] : $seen[$_] eq $expected[$_]
    } 0 .. 4;

    push @wrong, [ $addresses[$i], \@seen, \@expected ] if $same < 5;
}

is(scalar @wrong, 0, 'explain tells what mmdblookup does')
    or diag(explain($wrong[0]));


# other addresses than the client's; what cannot be told

my ($known) = grep { $records[$_] } 0 .. $#addresses;
my $code = $records[$known]{iso_code};

sub rule {
    my ($when) = @_;

    my $response = $t->api('PATCH', '/gray/releases/where',
        { rules => [ { when => $when, variant => 'at' } ] });

    return $response->{status} if $response->{status} != 200;
    return sub { $t->get('/', @_)->{body} eq 'at' ? 1 : 0 };
}

my $ask = rule({ 'geo.country.iso_code' =>
                 { eq => $code, of => '$http_x_client' } });

is($ask->('X-Client' => $addresses[$known]), 1, 'of: the address');
is($ask->('X-Real-IP' => $addresses[$known]), 0, 'and not the client');
is($ask->('X-Client' => 'nobody'), 0, 'no address');

$ask = rule({ 'geo.country.iso_code' =>
              { ne => $code, of => '$http_x_client' } });

is($ask->('X-Client' => $addresses[$known]), 0, 'negated: the address');
is($ask->('X-Client' => '203.0.113.1'), 1, 'an address without a record');
is($ask->('X-Client' => 'nobody'), 0, 'what cannot be told lets nobody in');

$ask = rule({ not => { 'geo.country' => 'x' } });
is($ask->('X-Real-IP' => $addresses[$known]), 0, 'a map cannot be told');

$ask = rule({ 'geo.latitude' => { prefix => '1' } });
is($ask->('X-Real-IP' => $addresses[$known]), 0,
   'coordinates among strings do no harm');

$ask = rule({ 'geo.no.such.path' => { exists => \0 } });
is($ask->('X-Real-IP' => $addresses[$known]), 1, 'a path that no record has');

is(rule({ 'geo.' => 'x' }), 422, 'geo. alone');
is(rule({ 'geo.a..b' => 'x' }), 422, 'an empty name');

my $status = $t->api('GET', '/gray/status')->{json}{geoip};

is(scalar @$status, 1, 'status: a database');
is($status->[0]{file}, $file, 'file');
is($status->[0]{type}, 'Gray-Test', 'type');
is($status->[0]{ip_version}, 6, 'version of IP');
cmp_ok(abs($status->[0]{build_epoch} - time), '<', 600, 'build epoch');
cmp_ok($status->[0]{nodes}, '>', 1000, 'nodes');
ok(!exists $status->[0]{not_used}, 'is in use');

$t->done;

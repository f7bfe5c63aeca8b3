#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: what a large attribute of an explanation takes of a worker's
# memory does not grow with the number of rules that read it.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'memory is not that of nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};

my $geo = eval { require MaxMind::DB::Writer::Tree; 1 };

my $t = Test::Gray->new;

if ($geo) {
    require Test::Gray::MMDB;
    Test::Gray::MMDB::write_mmdb($t->dir . '/geo.mmdb', {},
        [ '192.0.2.0/24', { country => { iso_code => 'AU' } } ]);
}

$t->config(<<"END")->start;
http {
    gray_zone  gray 1m document=128k;
    @{[ $geo ? 'gray_geoip %%DIR%%/geo.mmdb;' : '' ]}

    gray_release app {
        zone     gray;
        hash     \$arg_uid;
        variant  off;
        variant  on weight=0%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END

my $app = '/gray/releases/app';
my $rules = 1000;
my $size = 200 * 1024;
my $most = 20 * 1024;


# the most that there was since the last call, in kilobytes

sub peak {
    my ($pid) = $t->workers;
    my ($peak) = slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;

    open my $fh, '>', "/proc/$pid/clear_refs" or die "clear_refs: $!\n";
    print $fh "5\n";
    close $fh or die "clear_refs: $!\n";

    return $peak;
}


# attribute, condition, what is given

my @cases = (
    [ 'device', { device => 'tablet' }, { device => 'x' x $size } ],
    [ 'several', { device => 'tablet' },
      { device => [ 'x' x $size, 'y' ] } ],
    [ 'of a User-Agent', { device => 'tablet' },
      { '$http_user_agent' => 'x' x $size } ],
    [ 'variable', { '$arg_a' => 'x' }, { '$arg_a' => 'x' x $size } ],
    [ 'decoded', { '$arg_a' => { eq => 'x', decode => JSON::PP::true() } },
      { '$arg_a' => '%41' x ($size / 3) } ],
    $geo ? [ 'geo', { 'geo.country.iso_code' => 'CN' },
             { 'geo.country.iso_code' => 'x' x $size } ] : (),
);

for (@cases) {
    my ($name, $when, $given) = @$_;

    is($t->api('PATCH', $app, {
           rules => [ map { { when => $when, variant => 'on' } } 1 .. $rules ]
       })->{status}, 200, "$name: $rules rules");

    is($t->api('POST', "$app/explain", {})->{status}, 200,
       "$name: a small one");

    peak();

    my $before = peak();
    my $response = $t->api('POST', "$app/explain", $given);
    my $grown = peak() - $before;

    is($response->{status}, 200, "$name: a large one")
        or diag($response->{body});
    is(scalar @{ $response->{json}{rules} }, $rules, "$name: all rules");
    is(scalar(grep { $_->{holds} } @{ $response->{json}{rules} }), 0,
       "$name: none holds");
    cmp_ok($grown, '<', $most, "$name: memory");
    note("$name: $grown kB");
}

note('without a database') unless $geo;

$t->done;

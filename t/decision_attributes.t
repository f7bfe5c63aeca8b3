#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Attributes that nginx has no variable for: all the values of a name, decoded
# arguments, windows of time, percent of the keys, versions.

use strict;
use warnings;

use FindBin;
use POSIX qw(strftime);
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 2m;

    gray_release feature {
        zone     gray;
        hash     $arg_uid;
        variant  off;
        variant  on;
    }

    gray_release minted {
        zone     gray;
        cookie   gray_uid;
        variant  off;
        variant  on;
        match    on percent < 50;
    }

    gray_release drawn {
        zone     gray;
        variant  off;
        variant  on;
        match    on percent < 50 name=half;
    }

    gray_release builds {
        zone     gray;
        variant  off;
        variant  on;
        match    on $http_x_build version_gte 1.10 and $http_x_build
                 version_lt v2.0.0-rc.1;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/   { gray_admin; }
        location /minted  { return 200 "$gray_minted $gray_minted_reason"; }
        location /drawn   { return 200 "$gray_drawn $gray_drawn_reason"; }
        location /builds  { return 200 $gray_builds; }
        location /        { return 200 $gray_feature; }
    }
}
END


sub when {
    my ($when, $release) = @_;

    my $response = $t->api('PATCH', '/gray/releases/feature',
        { rules => [ { when => $when, variant => 'on' } ] });

    is($response->{status}, 200, 'changed') or diag($response->{body});
}


sub ask {
    my ($uri, @headers) = @_;

    return $t->request('GET', $uri, \@headers)->{body};
}


# -- which of several values: what is sent, "first", "last", "any", "any" of ne

my @cookies = (
    [ [ 'g=a' ], 'on', 'on', 'on', 'off' ],
    [ [ 'g=a; g=b' ], 'on', 'off', 'on', 'off' ],
    [ [ 'g=b; g=a' ], 'off', 'on', 'on', 'off' ],
    [ [ 'g=b; x=1', 'G=a' ], 'off', 'on', 'on', 'off' ],
    [ [ 'g=; g=a; g=' ], 'on', 'on', 'on', 'off' ],
    [ [ 'gg=a; xg=a;g' ], 'off', 'off', 'off', 'on' ],
    [ [ 'g=b;g=c;;=;' ], 'off', 'off', 'off', 'on' ],
    [ [ 'x="g=a"' ], 'off', 'off', 'off', 'on' ],
    [ [ ' g=a ' ], 'on', 'on', 'on', 'off' ],
);

my @tests = (
    { eq => 'a', values => 'first' }, { eq => 'a', values => 'last' },
    { eq => 'a', values => 'any' }, { ne => 'a', values => 'any' },
);

for my $i (0 .. $#tests) {
    when({ '$cookie_g' => $tests[$i] });

    for (@cookies) {
        my ($cookies, @expected) = @$_;

        is(ask('/', map { ( Cookie => $_ ) } @$cookies), $expected[$i],
           "cookies $i: @$cookies");
    }

    when({ '$http_x_group' => $tests[$i] });

    is(ask('/', 'X-Group' => 'b', 'x-group' => 'a', 'X-Groups' => 'c'),
       (qw(off on on off))[$i], "headers $i");
    is(ask('/', 'X_Group' => 'a'), (qw(off off off on))[$i],
       "no header $i");

    when({ '$arg_g' => $tests[$i] });

    is(ask('/?g=b&G=a&gg=c&g'), (qw(off on on off))[$i], "arguments $i");
    is(ask('/?h=a'), (qw(off off off on))[$i], "no argument $i");
}

# each test for itself; lists, numbers, and what is there

for ([ { prefix => 'a', suffix => 'z', values => 'any' },
       [ 'g=ab; g=yz' => 'on' ], [ 'g=az' => 'on' ], [ 'g=ab' => 'off' ] ],
     [ { in => [ 'x', 'y', 'z', 'u', 'v', 'w' ], values => 'any' },
       [ 'g=a; g=w' => 'on' ], [ 'g=a; g=b' => 'off' ] ],
     [ { gt => 5, values => 'any' },
       [ 'g=1; g=6' => 'on' ], [ 'g=1' => 'off' ], [ 'g=x; g=6' => 'off' ] ],
     [ { exists => JSON::PP::true(), values => 'any' },
       [ 'g=; g=1' => 'on' ], [ 'g=; g=' => 'off' ], [ 'h=1' => 'off' ] ],
     [ { cidr => '10.0.0.0/8', values => 'any' },
       [ 'g=192.0.2.1; g=10.1.1.1' => 'on' ], [ 'g=::1' => 'off' ] ])
{
    my ($test, @asks) = @$_;

    when({ '$cookie_g' => $test });

    is(ask('/', Cookie => $_->[0]), $_->[1], "any: $_->[0]") for @asks;
}

# -- decoded arguments

when({ '$arg_city' => { eq => "Z\x{fc}rich 1", decode => JSON::PP::true() } });

is(ask('/?city=Z%C3%BCrich+1'), 'on', 'decoded');
is(ask('/?city=Z%c3%bcrich%201'), 'on', 'lower case');
is(ask('/?city=Z%C3%BCrich%2B1'), 'off', 'a plus');

when({ '$arg_city' => { in => [ '100%', 'a%zz', '%4', 'a=b&c' ],
                        values => 'last', decode => JSON::PP::true() } });

is(ask("/?city=$_"), 'on', "malformed stays: $_")
    for qw(100% a%zz %4 100%25 a%3db%26c);
is(ask('/?city=100%&city='), 'on', 'the last that is not empty');

# -- time: the clock of this machine, windows around it

sub utc { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0])) }

my $day = lc strftime('%a', gmtime);
my @days = grep { $_ ne $day } qw(mon tue wed thu fri sat sun);

for ([ on => { after => utc(-3600) } ], [ off => { after => utc(3600) } ],
     [ on => { before => utc(3600) } ], [ off => { before => utc(-3600) } ],
     [ on => { after => utc(-3600), before => utc(3600) } ],
     [ on => { from => strftime('%H:%M', gmtime(time - 3600)),
               to => strftime('%H:%M', gmtime(time + 3600)) } ],
     [ off => { from => strftime('%H:%M', gmtime(time + 3600)),
                to => strftime('%H:%M', gmtime(time - 3600)) } ],
     [ on => { from => strftime('%H:%M', gmtime(time + 7200)),
               to => strftime('%H:%M', gmtime(time + 14400)),
               utc_offset => '+03:00' } ])
{
    my ($expected, $window) = @$_;

    when({ time => $window });
    is(ask('/'), $expected,
       "time: " . JSON::PP->new->canonical->encode($window));
}

SKIP: {
    skip 'it is about midnight', 4 if strftime('%H:%M', gmtime) =~ /23:5|00:0/;

    when({ time => { days => [ $day ] } });
    is(ask('/'), 'on', 'today');

    when({ time => { days => \@days } });
    is(ask('/'), 'off', 'not today');
}

# -- percent: the same users, drawn otherwise than the weights

my $n = 4000;

$t->api('PATCH', '/gray/releases/feature', {
    variants => { on => { weight => 50 } }, rules => [] });
my @weights = map { ask("/?uid=u$_") } 1 .. $n;

$t->api('PATCH', '/gray/releases/feature', {
    variants => { on => { weight => 0 } },
    rules => [ { when => { percent => 50 }, variant => 'on' } ] });
my @percent = map { ask("/?uid=u$_") } 1 .. $n;

$t->api('PATCH', '/gray/releases/feature', {
    rules => [ { when => { percent => { lt => 50, salt => 'night' } },
                 variant => 'on' } ] });
my @salted = map { ask("/?uid=u$_") } 1 .. $n;

$t->api('PATCH', '/gray/releases/feature', {
    rules => [ { when => { percent => { gte => 50 } }, variant => 'on' } ] });
my @rest = map { ask("/?uid=u$_") } 1 .. $n;

my $sigma = sqrt($n * 0.25);

for ([ 'percent', \@percent ], [ 'another salt', \@salted ]) {
    my ($name, $got) = @$_;
    my $on = grep { $_ eq 'on' } @$got;

    cmp_ok(abs($on - $n / 2), '<', 5 * $sigma, "$name: $on of $n");
}

for ([ 'weights and percent', \@weights, \@percent ],
     [ 'percent by two salts', \@percent, \@salted ])
{
    my ($name, $one, $two) = @$_;
    my $same = grep { $one->[$_] eq $two->[$_] } 0 .. $n - 1;

    cmp_ok(abs($same - $n / 2), '<', 5 * $sigma,
           "$name are independent: $same of $n alike");
}

is((grep { $percent[$_] ne $rest[$_] } 0 .. $n - 1), $n, 'the other half');
is(ask('/'), 'off', 'no key');

# of another key

$t->api('PATCH', '/gray/releases/feature', {
    rules => [ { when => { percent => { lt => 50, of => '$http_x_org' } },
                 variant => 'on' } ] });

my @orgs = map { my $org = $_; [ map { ask("/?uid=$_", 'X-Org' => $org) }
                                 1 .. 5 ] } 1 .. 40;

is((grep { my $first = $_->[0]; grep { $_ ne $first } @$_ } @orgs), 0,
   'all of an organisation alike');
isnt((grep { $_->[0] eq 'on' } @orgs), 0, 'some organisations');
isnt((grep { $_->[0] eq 'on' } @orgs), 40, 'not all organisations');
is(ask('/?uid=1'), 'off', 'no organisation');

# who has no id is given one, and stays where it is

my %seen;

for (1 .. 100) {
    my $response = $t->get('/minted');
    my ($cookie) = ($response->{headers}{'set-cookie'} || '') =~ /^([^;]+)/;

    ok($cookie, 'an id') or next;
    $seen{ $response->{body} }++;
    is(ask('/minted', Cookie => $cookie), $response->{body}, 'and it stays')
        if $_ <= 20;
}

is_deeply([ sort keys %seen ], [ 'off split', 'on rule' ], 'both are seen');

%seen = ();
$seen{ ask('/drawn') }++ for 1 .. 200;
is_deeply([ sort keys %seen ], [ 'off random', 'on rule' ], 'by chance');

# -- versions

for ([ '1.10', 'on' ], [ '1.9.9', 'off' ], [ '1.9', 'off' ], [ '1.10.0', 'on' ],
     [ 'v1.10.1+5', 'on' ], [ '1.10.0-beta', 'off' ], [ '2.0.0-rc.1', 'off' ],
     [ '2.0.0-beta.9', 'on' ], [ '2', 'off' ],
     [ '1.99999999999999999999.3', 'on' ], [ 'latest', 'off' ], [ '', 'off' ])
{
    is(ask('/builds', 'X-Build' => $_->[0]), $_->[1], "build $_->[0]");
}

# -- many rules over few attributes: the first in order wins

my @rules = map {
    { name => "r$_", when => { '$arg_a' => "v" . $_ % 50 },
      variant => $_ % 2 ? 'on' : 'off' },
    { name => "s$_", when => { '$arg_b' => { in => [ $_ % 7, "x$_" ] } },
      variant => $_ % 3 ? 'on' : 'off' },
    { name => "t$_", when => { '$arg_c' => { prefix => "p$_" } },
      variant => 'on' },
} 0 .. 199;

is($t->api('PATCH', '/gray/releases/feature', { rules => \@rules })->{status},
   200, '600 rules');

for my $i (map { int rand 220 } 1 .. 60) {
    my ($a, $b, $c) = ("v$i", $i % 9, 'p' . $i % 210 . 'z');
    my ($first) = grep {
        my ($when) = values %{ $_->{when} };

        $_->{name} =~ /^r/ ? $when eq $a
        : $_->{name} =~ /^s/ ? $when->{in}[0] eq $b
        : index($c, $when->{prefix}) == 0
    } @rules;

    is($t->api('POST', '/gray/releases/feature/explain',
               { '$arg_a' => $a, '$arg_b' => $b, '$arg_c' => $c })
         ->{json}{rule}, $first ? $first->{name} : undef,
       "a=$a b=$b c=$c");
}

# -- bad input

my @bad = (
    [ '{"time":{}}', '/time' ],
    [ '{"time":{"from":"25:00"}}', '/time/from' ],
    [ '{"time":{"from":"09:00","to":"09:00"}}', '/time/to' ],
    [ '{"time":{"after":"yesterday"}}', '/time/after' ],
    [ '{"time":{"days":["monday"]}}', '/time/days/0' ],
    [ '{"time":{"days":[]}}', '/time/days' ],
    [ '{"time":{"utc_offset":"8"}}', '/time/utc_offset' ],
    [ '{"time":{"of":"$arg_x"}}', '/time/of' ],
    [ '{"time":"now"}', '/time' ],
    [ '{"percent":101}', '/percent' ],
    [ '{"percent":"5"}', '/percent' ],
    [ '{"percent":{"eq":5}}', '/percent/eq' ],
    [ '{"percent":{"lt":5,"salt":7}}', '/percent/salt' ],
    [ '{"percent":{"lt":5,"of":"uid"}}', '/percent/of' ],
    [ '{"percent":{"lt":5,"of":"$nowhere"}}', '/percent' ],
    [ '{"$arg_x":{"eq":"a","decode":1}}', '/$arg_x/decode' ],
    [ '{"$cookie_x":{"eq":"a","decode":true}}', '/$cookie_x/decode' ],
    [ '{"$arg_x":{"eq":"a","values":"all"}}', '/$arg_x/values' ],
    [ '{"$remote_addr":{"eq":"a","values":"any"}}', '/$remote_addr/values' ],
    [ '{"$arg_x":{"eq":"a","of":"$arg_y"}}', '/$arg_x/of' ],
    [ '{"$arg_x":{"eq":"a","salt":"s"}}', '/$arg_x/salt' ],
    [ '{"$arg_x":{"values":"any"}}', '/$arg_x' ],
    [ '{"$arg_x":{"version_lt":"latest"}}', '/$arg_x/version_lt' ],
    [ '{"$arg_x":{"version_lt":2}}', '/$arg_x/version_lt' ],
    [ '{"geo.country.iso_code":"CN"}', '/geo.country.iso_code' ],
    [ '{"$arg_x":{"in_list":"vip"}}', '/$arg_x/in_list' ],
    [ '{"devices":"bot"}', '/devices' ],
);

for (@bad) {
    my ($when, $pointer) = @$_;
    my $response = $t->api('PATCH', '/gray/releases/feature',
                           "{\"rules\":[{\"when\":$when,\"variant\":\"on\"}]}");

    is($response->{status}, 422, "$when: status");
    is($response->{json}{errors}[0]{pointer}, "/rules/0/when$pointer", $when)
        or diag($response->{body});
    ok(length $response->{json}{errors}[0]{detail}, "$when: detail");
}

$t->done;

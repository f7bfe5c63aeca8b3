#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: how the live document decides, explained.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 2m;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release app {
        zone     gray;
        hash     $cookie_uid $arg_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=30%;
        match    canary $http_x_canary = always name=testers;
        match    canary $arg_n > 5 and $arg_m != x;
    }

    gray_release minted {
        zone     gray;
        cookie   gray_uid;
        variant  stable app_v1;
        variant  canary app_v2 weight=50%;
    }

    gray_release drawn {
        zone     gray;
        variant  off;
        variant  on weight=50%;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location / {
            return 200 "$gray_app $gray_app_reason $gray_app_bucket";
        }
    }
}
END


sub verdict {
    my ($release, $given) = @_;

    my $response = $t->api('POST', "/gray/releases/$release/explain", $given);

    is($response->{status}, 200, 'explained') or diag($response->{body});
    return $response->{json};
}


# release, attributes; variant, upstream, reason, rule, whether each rule holds

my @cases = (
    [ app => {},
      'stable', 'app_v1', 'no_key', undef, 0, 0 ],
    [ app => { '$http_x_canary' => 'always' },
      'canary', 'app_v2', 'rule', 'testers', 1, 0 ],
    [ app => { '$HTTP_X_Canary' => 'always', '$arg_n' => 6 },
      'canary', 'app_v2', 'rule', 'testers', 1, 1 ],
    [ app => { '$http_x_canary' => 'never', '$arg_n' => 6 },
      'canary', 'app_v2', 'rule', 1, 0, 1 ],
    [ app => { '$arg_n' => '6', '$arg_m' => 'x' },
      'stable', 'app_v1', 'no_key', undef, 0, 0 ],
    [ app => { '$arg_n' => 5.5 }, 'canary', 'app_v2', 'rule', 1, 0, 1 ],
    [ app => { '$arg_n' => 5 }, 'stable', 'app_v1', 'no_key', undef, 0, 0 ],
    [ app => { '$arg_n' => 'many' },
      'stable', 'app_v1', 'no_key', undef, 0, undef ],
    [ minted => {}, undef, undef, 'split', undef ],
    [ drawn => {}, undef, undef, 'random', undef ],
);

for (@cases) {
    my ($release, $given, $variant, $upstream, $reason, $rule, @holds) = @$_;

    my $name = "$release " . JSON::PP->new->canonical->encode($given);
    my $told = verdict($release, $given);

    is($told->{release}, $release, "$name: release");
    is($told->{revision}, 1, "$name: revision");
    is($told->{variant}, $variant, "$name: variant");
    is($told->{upstream}, $upstream, "$name: upstream");
    is($told->{reason}, $reason, "$name: reason");
    is($told->{rule}, $rule, "$name: rule");
    is($told->{bucket}, undef, "$name: bucket");

    is_deeply([ map { $_->{holds} } @{ $told->{rules} } ],
              [ map { defined $_ ? $_ ? JSON::PP::true() : JSON::PP::false()
                                 : undef } @holds ],
              "$name: rules");
}

like(verdict('minted', {})->{detail}, qr/a new id, which would be drawn/,
     'minted: detail');
like(verdict('drawn', {})->{detail}, qr/drawn by chance/, 'drawn: detail');

# the condition that made a rule not hold, and what it saw

sub failed { return verdict(@_)->{rules} }

is_deeply(failed('app', { '$arg_n' => 'many' }), [
    { rule => 'testers', holds => JSON::PP::false(),
      failed => { pointer => '/rules/0/when/$http_x_canary',
                  attribute => '$http_x_canary', operator => 'eq',
                  value => undef } },
    { rule => '1', holds => undef,
      failed => { pointer => '/rules/1/when/$arg_n', attribute => '$arg_n',
                  operator => 'gt', value => 'many',
                  detail => 'the test cannot be evaluated for this value' } },
], 'the conditions that failed');

is_deeply(failed('app', { '$arg_n' => 7, '$arg_m' => 'x' })->[1]{failed},
          { pointer => '/rules/1/when/$arg_m', attribute => '$arg_m',
            operator => 'ne', value => 'x' }, 'the second of two');

# what is explained is what happens

for my $i (1 .. 20) {
    my $told = verdict('app', { '$cookie_uid' => "u$i" });

    is($t->get('/', Cookie => "uid=u$i")->{body},
       "$told->{variant} $told->{reason} $told->{bucket}", "u$i");
}

is(verdict('app', { '$arg_uid' => 7 })->{bucket},
   verdict('app', { '$cookie_uid' => '7', '$arg_uid' => 8 })->{bucket},
   'the first key counts, a number is its text');
ok(defined verdict('minted', { '$cookie_gray_uid' => 'x' })->{variant},
   'an id that was minted before');

# a rule's own weights, and the kill switch

$t->api('PATCH', '/gray/releases/app', { rules => [
    { name => 'part', when => { '$arg_x' => '1' },
      weights => { canary => 100 } },
    { when => { '$cookie_uid' => { ne => 'u1' } }, variant => 'stable' } ] });

my $told = verdict('app', { '$cookie_uid' => 'u1', '$arg_x' => 1 });
is($told->{reason}, 'rule_split', 'rule_split');
is($told->{rule}, 'part', 'rule_split: rule');
is($told->{variant}, 'canary', 'rule_split: variant');
ok(defined $told->{bucket}, 'rule_split: bucket');
is($told->{revision}, 2, 'the live revision');

$t->api('PATCH', '/gray/releases/app', { enabled => JSON::PP::false() });
is(verdict('app', { '$arg_x' => 1 })->{reason}, 'disabled', 'disabled');

$t->api('PATCH', '/gray/releases/minted', { rules => [
    { name => 'part', when => { '$arg_x' => '1' },
      weights => { canary => 10 } } ] });
$told = verdict('minted', { '$arg_x' => 1 });
is($told->{reason}, 'rule_split', 'minted, rule_split');
is($told->{variant}, undef, 'minted, rule_split: variant');


# any, not, several values, time, devices, and what is not known here

$t->api('PATCH', '/gray/releases/drawn', { rules => [
    { when => { any => [ { '$arg_a' => 'x' }, { '$arg_b' => 'y' } ] },
      variant => 'on' },
    { when => { not => { '$arg_a' => { prefix => [ 'b', 'c' ] } } },
      variant => 'on' },
    { when => { '$cookie_g' => { in => [ 'a', 'b' ], values => 'any' } },
      variant => 'on' },
    { when => { time => { before => '2026-01-01T00:00:00Z' } },
      variant => 'on' },
    { when => { device => 'bot' }, variant => 'on' },
] })->{status} == 200 or BAIL_OUT('not changed');

is_deeply([ map { $_->{failed} } @{ failed('drawn', {
                '$arg_a' => 'bb', '$arg_b' => 'z',
                '$cookie_g' => [ 'c', 'd' ],
                'time' => '2026-02-01T00:00:00+01:00',
                'device' => 'mobile' }) } ], [
    { pointer => '/rules/0/when/any/0/$arg_a', attribute => '$arg_a',
      operator => 'eq', value => 'bb' },
    { pointer => '/rules/1/when/not/$arg_a', attribute => '$arg_a',
      value => 'bb', detail => 'the test holds, below "not"' },
    { pointer => '/rules/2/when/$cookie_g', attribute => '$cookie_g',
      operator => 'in', value => [ 'c', 'd' ] },
    { pointer => '/rules/3/when/time', attribute => 'time',
      operator => 'time', value => '2026-01-31T23:00:00Z' },
    { pointer => '/rules/4/when/device', attribute => 'device',
      operator => 'eq', value => 'mobile' },
], 'every kind of condition');

is_deeply([ map { $_->{holds} } @{ failed('drawn', {
                '$cookie_g' => [ 'c', 'b' ],
                '$http_user_agent' => 'Mozilla/5.0 (compatible; Googlebot/2.1; '
                                      . '+http://www.google.com/bot.html)',
                'time' => '2025-12-31T23:59:59Z' }) } ],
          [ JSON::PP::false(), (JSON::PP::true()) x 4 ], 'what is given');


# -- bad input: body, status, pointer and detail

my $object = 'must be an object of at most 256 attributes, as '
             . '{"$remote_addr": "192.0.2.1"}';
my $variable = 'must be a variable of nginx, as "$remote_addr", or geo.PATH, '
               . 'device or time';
my $value = 'must be a string, a number, true or false, or an array of them';

my @bad = (
    [ '', 400 ],
    [ '{', 400 ],
    [ '[]', 422, '', $object ],
    [ '1', 422, '', $object ],
    [ '{' . join(',', map { "\"\$a$_\":1" } 1 .. 257) . '}', 422, '',
      $object ],
    [ '{"uid":"x"}', 422, '/uid', $variable ],
    [ '{"$":"x"}', 422, '/$', $variable ],
    [ '{"":"x"}', 422, '/', $variable ],
    [ '{"gex.x/y":"x"}', 422, '/gex.x~1y', $variable ],
    [ '{"$nowhere":"x"}', 422, '/$nowhere',
      'unknown variable "$nowhere", this nginx has none of that name' ],
    [ '{"$":"x"}', 422, '/$', $variable ],
    [ '{"time":"now"}', 422, '/time',
      'must be a time of RFC 3339, as "2026-01-31T12:00:00Z"' ],
    [ '{"percent":5}', 422, '/percent', $variable ],
    [ '{"$arg_x":null}', 422, '/$arg_x', $value ],
    [ '{"$arg_x":{}}', 422, '/$arg_x', $value ],
    [ '{"$arg_x":["a",["b"]]}', 422, '/$arg_x', $value ],
    [ '{"$arg_x":1,"$Arg_X":2}', 422, '/$Arg_X',
      'is given twice, case does not matter in variables' ],
);

for (@bad) {
    my ($body, $status, $pointer, $detail) = @$_;
    my $response = $t->api('POST', '/gray/releases/app/explain', $body);
    my $name = 'body ' . substr $body, 0, 40;

    is($response->{status}, $status, "$name: status");
    is_deeply($response->{json}{errors},
              [ { pointer => $pointer, detail => $detail } ], $name)
        if defined $pointer;
}

is($t->request('POST', '/gray/releases/app/explain', [], '{}')->{status}, 415,
   'no type');
is($t->api('POST', '/gray/releases/app/explain?dry_run=1', {})->{status}, 400,
   'nothing to be tried');

$t->done;

#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What releases/NAME/stats says of requests that were sent: of each variant,
# by status, reason and failure, with times, weights and shares.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use List::Util qw(sum);
use Test::More;
use Time::Local qw(timegm);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $before = time;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 4m;
    gray_zone none 1m stats=off;

    upstream v1 { server 127.0.0.1:%%PORT_backend%%; }
    upstream v2 { server 127.0.0.1:%%PORT_backend%%; }

    upstream dead {
        server 127.0.0.1:%%PORT_dead%%;
        server 127.0.0.1:%%PORT_dead%%;
    }

    gray_release app {
        zone     gray;
        hash     $arg_uid;
        fallback baseline;
        variant  stable v1;
        variant  canary v2 weight=20%;
        match    canary $http_x_canary = always;
    }

    gray_release switch { zone gray; variant off; variant on weight=5%; }
    gray_release none { zone none; variant off; variant on weight=5%; }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /app/ { proxy_pass http://app; }
        location /gray/ { gray_admin; }
        location /readonly/ { gray_admin readonly; }
    }

    server {
        listen 127.0.0.1:%%PORT_backend%%;
        keepalive_timeout 0;

        location / { return 200 "hello"; }
        location /app/201 { return 201; }
        location /app/302 { return 302 /; }
        location /app/404 { return 404; }
        location /app/500 { return 500; }
    }
}
END

my $null = JSON::PP::null;
my $stats = '/gray/releases/app/stats';


sub get {
    my ($path) = @_;

    my $response = $t->api('GET', $path || $stats);

    is($response->{status}, 200, 'status') or diag($response->{body});

    return $response->{json};
}


sub patch {
    my ($document) = @_;

    my $response = $t->api('PATCH', '/gray/releases/app', $document);

    is($response->{status}, 200, 'a change') or diag($response->{body});

    return $response->{json};
}


# a response is sent before its request is counted

sub counted {
    my ($variant, $n) = @_;

    ok(wait_until(sub {
        $n == ($t->api('GET', $stats)->{json}{variants}{$variant}{requests}
               || 0)
    }), "$n requests of $variant");

    return;
}


# -- before anything was counted

my $json = get();
my @members = qw(release revision enabled enough_data canary baseline verdict
                 window since variants);
my @numbers = qw(requests rate share weight error_ratio absent failures
                 fallbacks streams live codes header total);
my @details = qw(since reasons failure_kinds absences bytes_in bytes_out);

is_deeply([ sort keys %$json ], [ sort @members ], 'members');
is($json->{release}, 'app', 'the release');
is($json->{revision}, 1, 'the revision');
is($json->{enabled}, JSON::PP::true, 'it is enabled');
is_deeply($json->{baseline},
          { name => 'stable', requests => 0, error_rate => undef,
            p99_ms => undef }, 'the baseline');
is_deeply($json->{canary}, { %{ $json->{baseline} }, name => 'canary' },
          'the canary');
ok(!$json->{enough_data}, 'not enough to be compared');
is($json->{verdict}, undef, 'no rollout, no verdict');
is($json->{window}, undef, 'no window');
is(join(' ', sort keys %{ $json->{variants} }), 'canary stable', 'variants');

like($json->{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'a time');
my ($year, $month, $day, $h, $m, $s) = $json->{since} =~ /\d+/g;
my $since = timegm($s, $m, $h, $day, $month - 1, $year);

ok($since >= $before - 1 && $since <= time, 'since nginx was started');

my $none = $json->{variants}{canary};

is_deeply([ sort keys %$none ], [ sort @numbers, @details ], 'of a variant');
is($none->{since}, $json->{since}, 'counted from the beginning');
is_deeply([ map { $none->{$_} } qw(requests absent failures fallbacks streams
                                   live bytes_in bytes_out) ],
          [ (0) x 8 ], 'zeroes');
is_deeply([ map { $none->{$_} } qw(share error_ratio header total) ],
          [ (undef) x 4 ], 'nulls');
is($none->{weight}, 20, 'the weight');
is($json->{variants}{stable}{weight}, 80, 'what the baseline has');


# -- requests: 20 by a rule, of each class

$t->get("/app/$_", 'X-Canary' => 'always')
    for (200) x 5, (201) x 2, (302) x 3, (404) x 4, (500) x 6;

counted('canary', 20);

$json = get();

my $canary = $json->{variants}{canary};

is_deeply($canary->{codes}, { '1xx' => 0, '2xx' => 7, '3xx' => 3, '4xx' => 4,
                              '5xx' => 6, '499' => 0 }, 'codes');
is($canary->{error_ratio}, 0.3, 'the ratio of errors');
is($canary->{reasons}{rule}, 20, 'the reason');
is(sum(values %{ $canary->{reasons} }), 20, 'and no other');
is($canary->{share}, undef, 'none of them was placed by weight');
is($canary->{live}, 0, 'none is under way');
is($canary->{failures}, 0, 'no attempt has failed');
is($canary->{header}{count}, 20, 'times to the header');
is($canary->{total}{count}, 20, 'times');
cmp_ok($canary->{bytes_in}, '>', 20 * 50, 'bytes in');
cmp_ok($canary->{bytes_out}, '>', 20 * 100, 'bytes out');
cmp_ok($canary->{rate}, '>', 20 / (time - $since + 2), 'the rate');
is($json->{variants}{stable}{requests}, 0, 'nothing of the other');

for my $times (@$canary{qw(header total)}) {
    is_deeply([ sort keys %$times ],
              [ sort qw(count mean_ms p50_ms p90_ms p99_ms) ], 'of times');
    ok($times->{p50_ms} <= $times->{p90_ms}
       && $times->{p90_ms} <= $times->{p99_ms}, 'quantiles, in order');
}


# -- 300 by weight

my @given = map { $_->{status} } $t->many(300, sub { "/app/200?uid=$_[0]" });

is(scalar(grep { $_ == 200 } @given), 300, 'all are answered');

ok(wait_until(sub {
    320 == sum(map { $_->{requests} }
               values %{ $t->api('GET', $stats)->{json}{variants} })
}), 'all are counted');

$json = get();
$canary = $json->{variants}{canary};

my $stable = $json->{variants}{stable};
my $split = $canary->{reasons}{split};

cmp_ok($split, '>', 30, 'some of the canary');
is($canary->{requests}, 20 + $split, 'the sum');
is($stable->{reasons}{split}, 300 - $split, 'the others');
is($canary->{share}, sprintf('%.6f', $split / 300) + 0, 'the share');
is($stable->{share}, sprintf('%.6f', 1 - $split / 300) + 0,
   "the other's share");


# -- in a window

$json = get("$stats?window=60s");

is($json->{window}{asked}, 60, 'the window');
cmp_ok($json->{window}{seconds}, '>', 0, 'it covers some seconds');
cmp_ok($json->{window}{seconds}, '<=', time - $since + 2, 'but no more');
is_deeply([ sort keys %{ $json->{variants}{canary} } ], [ sort @numbers ],
          'no details');
is_deeply([ @{ $json->{variants}{canary} }{qw(requests share codes)} ],
          [ @$canary{qw(requests share codes)} ], 'numbers');


# -- a variant that is dead, and one that is disabled

patch({ variants => { canary => { upstream => 'dead' } } });

for (1 .. 4) {
    is($t->get('/app/200', 'X-Canary' => 'always')->{status}, 200,
       'the baseline answers');
}

counted('canary', 24 + $split);

$canary = get()->{variants}{canary};

is($canary->{fallbacks}, 4, 'fallbacks');
cmp_ok($canary->{failures}, '>=', 4, 'failures');
is(sum(values %{ $canary->{failure_kinds} }), $canary->{failures},
   'of which kinds');
cmp_ok($canary->{failure_kinds}{connect}, '>=', 1, 'no connection');
is($canary->{codes}{'5xx'}, 10, "these are errors of the canary's");

patch({ enabled => JSON::PP::false });

$t->get('/app/200', 'X-Canary' => 'always');
counted('stable', 301 - $split);

$json = get();

is($json->{enabled}, JSON::PP::false, 'it is disabled');
is($json->{revision}, 3, 'the revision');
is($json->{variants}{stable}{weight}, 100, 'the baseline has all');
is($json->{variants}{canary}{weight}, 0, 'the canary has nothing');
is($json->{variants}{stable}{reasons}{disabled}, 1, 'the reason');

patch({ enabled => JSON::PP::true });


# -- variants that come and go; there is memory for three

wait_until(sub { time > $since });

patch({ variants => { canary => $null, next => { upstream => 'v2', weight => 0 } },
        rules => [ { when => { '$http_x_canary' => 'always' },
                     variant => 'next' } ] });

$t->get('/app/200', 'X-Canary' => 'always');
counted('next', 1);

$json = get();

is(join(' ', sort keys %{ $json->{variants} }), 'canary next stable',
   'one that was counted is there still');
is($json->{variants}{canary}{weight}, undef, 'without a weight');
is($json->{variants}{canary}{requests}, 24 + $split, 'as it was');
cmp_ok($json->{variants}{next}{since}, 'gt', $json->{since},
       'a new one is counted since it came');
is($json->{variants}{canary}{since}, $json->{since}, 'others are since ever');

patch({ variants => { $_ => { upstream => 'v2', weight => 0 } } }) for qw(third fourth);
patch({ rules => [ { when => { '$http_x_canary' => 'always' },
                     variant => 'fourth' } ] });

$t->get('/app/404', 'X-Canary' => 'always') for 1 .. 3;
counted('_other', 3);

$json = get();

is(join(' ', sort keys %{ $json->{variants} }),
   '_other fourth next stable third', 'the fourth is there');
is($json->{variants}{_other}{codes}{'4xx'}, 3, 'counted with others');
is($json->{variants}{_other}{weight}, undef, 'which have no weight');

my $fourth = $json->{variants}{fourth};

is_deeply([ grep { defined $fourth->{$_} } keys %$fourth ], [ 'weight' ],
          'nothing is known of the fourth alone');
is($json->{variants}{third}{requests}, 0,
   'the third has the slot of one that is gone');

is(get("$stats?window=1h")->{variants}{_other}, undef,
   'others have no windows');

my ($state) = grep { $_->{release} eq 'app' }
              @{ get('/gray/status')->{releases} };

is($state->{uncounted}, 1, 'status tells it');
ok(!exists((grep { $_->{release} eq 'switch' }
            @{ get('/gray/status')->{releases} })[0]{uncounted}),
   'but where all are counted');

$t->expect(qr/has memory for the statistics of 3 variants/);


# -- arguments, methods, refusals

for (qw(10s 60s 5m 1h 59m60s 0h3600s)) {
    is($t->api('GET', "$stats?window=$_")->{status}, 200, "window $_");
}

for ('', qw(9s 3601s 61m 2h 60 -60s 60000ms 1d abc s 10.5s)) {
    my $response = $t->api('GET', "$stats?window=$_");

    is($response->{status}, 400, "window \"$_\"");
    is($response->{json}{detail}, "invalid value \"$_\" of the argument "
                                  . "window, must be 10s to 1h", 'is told');
}

is(get("$stats?window=5m")->{window}{asked}, 300, '5 minutes');

my @wrong = (
    [ 'GET', "$stats?window=60s&window=60s", 400,
      'the argument window is given twice' ],
    [ 'GET', "$stats?seconds=60", 400,
      'unknown argument "seconds"; there is window' ],
    [ 'POST', "$stats/reset?dry_run=1", 400,
      'unknown argument "dry_run"; there is none' ],
    [ 'POST', "$stats/reset", 400, 'POST takes no body', '{}' ],
    [ 'POST', $stats, 405, 'the methods are GET, HEAD' ],
    [ 'GET', "$stats/reset", 405, 'the methods are POST' ],
    [ 'GET', "$stats/", 404, qr/^there are .*releases\/NAME\/stats,/ ],
    [ 'GET', '/gray/releases/other/stats', 404, qr/^no release "other"/ ],
    [ 'GET', '/gray/releases/none/stats', 409,
      'there are no statistics: gray_zone "none" has "stats=off"' ],
    [ 'POST', '/gray/releases/none/stats/reset', 409,
      'there are no statistics: gray_zone "none" has "stats=off"' ],
    [ 'POST', '/readonly/releases/app/stats/reset', 403,
      qr/^nothing can be changed here/ ],
);

for (@wrong) {
    my ($method, $path, $status, $detail, $body) = @$_;

    my $response = $t->api($method, $path, $body);

    is($response->{status}, $status, "$method $path") or next;
    like($response->{json}{detail}, ref $detail ? $detail : qr/^\Q$detail\E$/,
         'is told');
}

is(get('/readonly/releases/app/stats')->{release}, 'app',
   'may be read where nothing may be written');

my $head = $t->api('HEAD', $stats);

is($head->{status}, 200, 'HEAD');
is($head->{body}, '', 'has no body');
is($head->{headers}{'content-type'}, 'application/json', 'of the same type');

# a switch is counted by its own responses

$json = get('/gray/releases/switch/stats');

is(join(' ', sort keys %{ $json->{variants} }), 'off on', 'a switch');

$t->done;

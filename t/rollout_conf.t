#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The block "rollout" of gray_release: the plan that it makes, as GET serves
# it, changes of it by members, and bad ones, with the one line that nginx says.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

# what directives say, in one configuration; the releases have variants s, c, d

my %plans = (
    least => 'rollout c { step 5%; }',
    unkeyed => 'rollout c { step 5%; }',
    timed => 'rollout c { step 5%; step 100% hold=1h; guards off; }',

    full => <<'END',
        rollout c {
            step 5%;
            step 12.3456% hold=2m max_hold=1h warmup=500ms min_requests=7
                 gate=manual;
            step 0%;

            unit         request;
            alpha        0.02;
            hold         1m;
            max_hold     30m;
            warmup       20s;
            min_requests 1000;
            detect_ratio 2.5;
            info_nats    8;

            guard errors  bad=5xx,499 max_ratio=1.25 floor=0.001;
            guard client  bad=4xx max=0.5 action=pause if_baseline_bad=pause;
            guard latency quantiles=0.5,0.9 max_ratio=1.3 min_delta=10ms;
            guard slow    slower_than=500ms max=0.01 action=rollback;
            guard split   sample_ratio action=pause;

            on_inconclusive rollback;
            on_success      keep;
            cooldown        2h30m;

            window days=mon,tue from=09:00 to=17:00 utc_offset=+08:00;
            window after=2026-01-01T00:00:00Z before=2036-01-01T00:00:00Z;

            notify http://127.0.0.1:9000/hook on=rollback,pause;
            notify http://[::1]/;
        }
END

    included => 'rollout c { include plan.conf; }',
    switch   => 'rollout c { step 50%; guards off; }',
);

$t->write_file('plan.conf', "step 5%;\nhold 2m;\n");

$t->config("http {\ngray_zone z 8m;\n"
           . "upstream v1 { server 127.0.0.1:1; }\n"
           . join('', map { release($_, $plans{$_}) } sort keys %plans)
           . <<'END')->start;
server {
    listen 127.0.0.1:%%PORT%%;
    location /gray/ { gray_admin; }
}
}
END


my %usual = (
    errors  => { name => 'errors', bad => '5xx', max_ratio => 1.25,
                 floor => 0.0005, action => 'rollback' },
    abs     => { name => 'errors_abs', bad => '5xx', max => 0.05,
                 action => 'rollback', if_baseline_bad => 'pause' },
    latency => { name => 'latency', quantiles => [0.5, 0.9, 0.99],
                 max_ratio => 1.1, min_delta => '5ms',
                 action => 'rollback' });

my %least = (
    variant => 'c', unit => 'key', alpha => 0.01, steps => [{ weight => 5 }],
    hold => '5m', max_hold => '60m', warmup => '10s', min_requests => 200,
    detect_ratio => 3, info_nats => 16,
    guards => [@usual{qw(errors abs latency)}],
    on_inconclusive => 'pause', on_success => 'promote', cooldown => '10m',
    windows => [], notify => []);

is_deeply(declared('least'), \%least, 'everything by default');
is_deeply(declared('unkeyed'), { %least, unit => 'request' },
          'no key, so requests are what counts');
is_deeply(declared('timed'),
          { %least, steps => [{ weight => 5 }, { weight => 100, hold => '1h' }],
            guards => [], min_requests => 0 }, 'time alone');
is_deeply(declared('included'), { %least, hold => '2m' }, 'an included file');
is_deeply(declared('switch'),
          { %least, unit => 'request', steps => [{ weight => 50 }],
            guards => [], min_requests => 0 }, 'a switch');

is_deeply(declared('full'), {
    variant => 'c', unit => 'request', alpha => 0.02,
    steps => [{ weight => 5 },
              { weight => 12.3456, gate => 'manual', hold => '2m',
                max_hold => '1h', warmup => '500ms', min_requests => 7 },
              { weight => 0 }],
    hold => '1m', max_hold => '30m', warmup => '20s', min_requests => 1000,
    detect_ratio => 2.5, info_nats => 8,
    guards => [
        { name => 'errors', bad => ['5xx', '499'], max_ratio => 1.25,
          floor => 0.001, action => 'rollback' },
        { name => 'client', bad => '4xx', max => 0.5, action => 'pause',
          if_baseline_bad => 'pause' },
        { name => 'latency', quantiles => [0.5, 0.9], max_ratio => 1.3,
          min_delta => '10ms', action => 'rollback' },
        { name => 'slow', slower_than => '500ms', max => 0.01,
          action => 'rollback' },
        { name => 'split', sample_ratio => JSON::PP::true,
          action => 'pause' }],
    on_inconclusive => 'rollback', on_success => 'keep', cooldown => '2h30m',
    windows => [{ days => ['mon', 'tue'], from => '09:00', to => '17:00',
                  utc_offset => '+08:00' },
                { after => '2026-01-01T00:00:00Z',
                  before => '2036-01-01T00:00:00Z' }],
    notify => [{ url => 'http://127.0.0.1:9000/hook',
                 on => ['rollback', 'pause'] },
               { url => 'http://[::1]/',
                 on => ['rollback', 'pause', 'promoted'] }] },
    'all that can be said');

subtest 'changes' => sub {
    my $path = '/gray/releases/least';
    my $before = $t->api(GET => $path)->{json};

    # what is as declared is no change, however it is said

    my $again = $t->api(PUT => $path, { %$before, rollout =>
                        { variant => 'c', steps => [{ weight => 5 }] } });

    is($again->{status}, 200, 'what is declared, said shorter');
    is($again->{json}{revision}, $before->{revision}, 'is no revision');

    my $changed = $t->api(PATCH => $path, { rollout => { hold => '1m' } });

    is($changed->{status}, 200, 'a member is changed');
    is_deeply($changed->{json}{rollout}, { %least, hold => '1m' },
              'and no other one');
    ok($changed->{json}{declared_differs}, 'which is not as declared');

    $changed = $t->api(PATCH => $path, { rollout => { hold => undef } });
    is_deeply($changed->{json}{rollout}, \%least, 'a member is as it was');
    ok(!$changed->{json}{declared_differs}, 'and as declared');

    my $pointer = $t->api(PATCH => $path,
                          '[{"op": "add", "path": "/rollout/steps/-",'
                          . ' "value": {"weight": 30}}]',
                          'Content-Type' => 'application/json-patch+json');

    is_deeply($pointer->{json}{rollout}{steps},
              [{ weight => 5 }, { weight => 30 }], 'a step is added');

    my $bad = $t->api(PATCH => $path,
                      { rollout => { hold => '5', alpha => 2,
                                     steps => [{ weight => 5.00001 }] } });

    is($bad->{status}, 422, 'faults');
    is_deeply([sort map { $_->{pointer} } @{ $bad->{json}{errors} }],
              ['/rollout/alpha', '/rollout/hold', '/rollout/steps/0/weight'],
              'each with its place');

    my $gone = $t->api(PATCH => $path, { rollout => undef });

    is($gone->{status}, 200, 'the plan is taken away');
    ok(!exists $gone->{json}{rollout}, 'and gone');

    my $back = $t->api(DELETE => $path);

    is_deeply($back->{json}{rollout}, \%least, 'what is declared comes back');
};

subtest 'a document that is read has a plan, too' => sub {
    $t->write_file('document.json', <<'END');
{"baseline": "s", "variants": {"s": {"upstream": "v1"},
 "c": {"upstream": "v1", "weight": 0}},
 "rollout": {"variant": "c", "steps": [{"weight": 5, "hold": "5"}]}}
END

    refused('document document.json;',
            'invalid gray_release "app": /rollout/steps/0/hold: ' . no_time(),
            'document', '');
};


# in the block, and the message, without its place

my @bad = (

    # the words themselves

    'step;'                => arguments('step'),
    'step 5;'              => weight('5'),
    'step x%;'             => weight('x%'),
    'step %;'              => weight('%'),
    'step 5% hold;'        => parameter('step', 'hold', steps()),
    'step 5% gate;'        => parameter('step', 'gate', steps()),
    'step 5% holds=5m;'    => parameter('step', 'holds=5m', steps()),
    'step 5% min_requests=few;' =>
        'invalid parameter "min_requests=few" of "step", must be a number',
    'step 5% hold=1m hold=1m;' =>
        'duplicate parameter "hold=1m" of "step"',
    'alpha x;'             => number('alpha', 'x'),
    'alpha 1%;'            => number('alpha', '1%'),
    'alpha;'               => arguments('alpha'),
    'alpha 0.1; alpha 0.1;' => duplicate('alpha'),
    'hold 1m 2m;'          => arguments('hold'),
    'hold 1m; hold 2m;'    => duplicate('hold'),
    'guard errors;'        => arguments('guard'),
    'guard errors max_ratio=much;' =>
        'invalid parameter "max_ratio=much" of "guard", must be a number',
    'guard lat quantiles=0.5,,0.9;' =>
        'invalid parameter "quantiles=0.5,,0.9" of "guard", must be a number,'
        . ' or several with "," between them',
    'guard g sample_ratio=on;' => parameter('guard', 'sample_ratio=on',
                                            guards()),
    'guard g ratio=2;'     => parameter('guard', 'ratio=2', guards()),
    'guards on;' => 'invalid value "on" of "guards", must be "off": each guard'
                    . ' has a directive "guard"',
    'guards off; guards off;' => duplicate('guards'),
    'guards off; guard g max=0.5;' =>
        '"guard" directive does not go with "guards off"',
    'guard g max=0.5; guards off;' =>
        '"guards" directive does not go with "guard"',
    'window;'              => arguments('window'),
    'window mon;'          => parameter('window', 'mon', windows()),
    'notify;'              => arguments('notify'),
    'notify http://127.0.0.1/ rollback;' =>
        parameter('notify', 'rollback', 'on='),
    'steps 5%;'            => 'unknown directive "steps"',
    'variant x;'           => '"variant" directive is not allowed here',
    'rollout c { }'        => '"rollout" directive is not allowed here',
    'hold "' . "\xff" . '";' => qr/^invalid "hold" in gray_release "app": .* is not UTF-8$/,

    # what they say

    'step 101%;' => invalid('step', 'steps/0/weight',
                            '101 is not within 0 to 100'),
    'step 1%; step 5.00001%;' =>
        invalid('step', 'steps/1/weight', '5.00001 has more than 4 decimals'),
    'step 60%;' =>
        invalid('step', 'steps/0/weight', '60 is more than other variants'
                                          . ' leave, which is 50'),
    'step 5% gate=auto;' =>
        invalid('step', 'steps/0/gate', 'must be "manual"'),
    'step 5% hold=5;' => invalid('step', 'steps/0/hold', no_time()),
    'step 5% hold=2h;' =>
        invalid('step', 'steps/0/hold', 'must not be longer than "max_hold",'
                                        . ' which is "60m"'),
    'step 5%; hold 90;' => invalid('hold', 'hold', no_time()),
    'step 5%; max_hold 1m;' =>
        invalid('max_hold', 'max_hold', 'must not be shorter than "hold",'
                                        . ' which is "5m"'),
    'step 5%; alpha 1;' =>
        invalid('alpha', 'alpha', 'must be more than 0 and less than 1'),
    'step 5%; unit key;' =>
        invalid('unit', 'unit', '"key" needs "hash" or "cookie" in the'
                                . ' document, "request" does not'),
    'step 5%; on_success stay;' =>
        invalid('on_success', 'on_success', 'must be "promote" or "keep"'),
    'step 5%; guard g bad=6xx max=0.1;' =>
        invalid('guard', 'guards/0/bad', 'must be "1xx", "2xx", "3xx", "4xx",'
                . ' "5xx" or "499", or an array of these'),
    'step 5%; guard a max=0.1; guard a max=0.2;' =>
        invalid('guard', 'guards/1/name', 'is also the name of guard 0'),
    'step 5%; guard g action=pause;' =>
        invalid('guard', 'guards/0',
                'must have one of "max_ratio", "max", "quantiles",'
                . ' "slower_than" with "max", "sample_ratio"'),
    'step 5%; guard g max=0.1 floor=0.1;' =>
        invalid('guard', 'guards/0/floor', 'does not go with "max"'),
    'step 5%; window days=mon,funday;' =>
        invalid('window', 'windows/0/days/1',
                'must be one of mon, tue, wed, thu, fri, sat, sun'),
    'step 5%; window days=;' =>
        invalid('window', 'windows/0/days/0',
                'must be one of mon, tue, wed, thu, fri, sat, sun'),
    'step 5%; notify https://127.0.0.1/;' =>
        invalid('notify', 'notify/0/url', 'must begin with "http://": a'
                . ' location of nginx with proxy_pass can go on by https'),
    'step 5%; notify http://127.0.0.1/ on=success;' =>
        invalid('notify', 'notify/0/on/0', 'must be one of started, step,'
                . ' gate, pause, resumed, rollback, aborted, promoted'),

    # what is nowhere is at the block

    '' => invalid('rollout', 'steps', 'is missing'),
);

while (my ($text, $expected) = splice @bad, 0, 2) {
    refused(block('c', $text), $expected, $text || 'nothing');
}

refused(block('e', 'step 5%;'),
        invalid('rollout', 'variant', 'no variant "e"; there are s, c, d'),
        'no such variant');
refused(block('c', 'step 5%;') . block('c', 'step 5%;'),
        duplicate('rollout'), 'two plans');
refused('rollout { step 5%; }', arguments('rollout'), 'of no variant');
refused('rollout c;', 'directive "rollout" has no opening "{"', 'no block');
refused('step 5%;', '"step" directive is not allowed here', 'no rollout');

refused(block('c', 'step 5%;'),
        invalid('rollout', 'guards', 'must be [], as the variants have no'
                . ' upstreams that guards could watch'),
        'a switch', 'variant s; variant c;');

# the place is that of the directive, also in a file that is included

$t->write_file('bad.conf', "step 5%;\n\nstep 10%\n  hold=2h;\n");

my (undef, $said) = $t->test_config(
    "http {\ngray_zone z 1m;\nupstream v1 { server 127.0.0.1:1; }\n"
    . "gray_release app {\nzone z;\nvariant s v1; variant c v1;\n"
    . "rollout c { include bad.conf; }\n}\n}\n");

like($said, qr{: /rollout/steps/1/hold: .* in \S*/bad\.conf:[34]$}m,
     'place of a fault');

$t->done;


sub declared {
    my ($name) = @_;

    return $t->api(GET => "/gray/releases/$name")->{json}{rollout};
}


sub release {
    my ($name, $text) = @_;

    my $upstream = $name eq 'switch' ? '' : ' v1';
    my $key = $name eq 'unkeyed' || $name eq 'switch' ? '' : 'hash $arg_u;';

    return <<"END";
gray_release $name {
    zone z;
    $key
    variant s$upstream;
    variant c$upstream;
    $text
}
END
}


sub block {
    my ($variant, $text) = @_;

    return "rollout $variant {\n$text\n}\n";
}


# fails where nginx takes the text, or says anything but the one line

sub refused {
    my ($text, $expected, $title, $variants) = @_;

    $variants = 'variant s v1; variant c v1; variant d v1 weight=50%;'
        unless defined $variants;

    my ($status, $said) = $t->test_config(
        "http {\ngray_zone z 1m;\nupstream v1 { server 127.0.0.1:1; }\n"
        . "gray_release app {\nzone z;\n$variants\n$text\n}\n}\n");

    my $file = $t->dir . '/test-nginx.conf';

    $said =~ s/^nginx: configuration file \S+ test failed\n//m;

    my ($message) =
        $said =~ /\Anginx: \[emerg\] (.*?)(?: in \Q$file\E:\d+)?\n\z/;

    $message = "status $status: $said"
        unless defined $message && $status == 1;

    $title =~ s/[^\x20-\x7e]/?/g;

    ref $expected ? like($message, $expected, $title)
                  : is($message, $expected, $title);
}


sub arguments { qq(invalid number of arguments in "$_[0]" directive) }
sub duplicate { qq("$_[0]" directive is duplicate) }
sub number    { qq(invalid value "$_[1]" of "$_[0]", must be a number) }
sub no_time     { 'must be a time with units, as "500ms", "10s" or "2h30m"' }

sub steps     { 'hold=, max_hold=, warmup=, min_requests=, gate=' }
sub windows   { 'after=, before=, days=, from=, to=, utc_offset=' }

sub guards {
    return 'bad=, max_ratio=, floor=, max=, quantiles=, min_delta=,'
           . ' slower_than=, sample_ratio, action=, if_baseline_bad=';
}

sub weight {
    return qq(invalid weight "$_[0]" of "step", must be a number from 0% to)
           . ' 100%, as "5%"';
}

sub parameter {
    my ($directive, $word, $accepted) = @_;

    return qq(invalid parameter "$word" of "$directive"; there are $accepted);
}

sub invalid {
    my ($directive, $place, $detail) = @_;

    return qq(invalid "$directive" in gray_release "app":)
           . " /rollout/$place: $detail";
}

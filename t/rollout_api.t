#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What the API does and shows of a rollout: actions and who may do them, the
# verdict that is waited for, the gate, and what statistics and metrics say.
# Steps are held for an hour, so that nothing moves but by an action.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use MIME::Base64;
use Test::More;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;


my $t = Test::Gray->new;

$t->write_file('users', "alice:{PLAIN}secret\n");

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone  gray 2m state=state;
    gray_zone  off 1m stats=off;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone     gray;
        hash     $arg_u;
        variant  stable app_v1;
        variant  canary app_v2;
    }

    gray_release other {
        zone     gray;
        variant  stable app_v1;
        variant  a app_v2;
        variant  b app_v2;
    }

    gray_release silent {
        zone     off;
        variant  stable app_v1;
        variant  canary app_v2;
    }

    server {
        listen  127.0.0.1:%%PORT%%;

        location /            { proxy_pass http://app; }
        location /gray/       { gray_admin; }
        location /read/       { gray_admin readonly; }
        location = /status    { stub_status; }
        location = /metrics   { gray_metrics; }

        location /auth/ {
            gray_admin;
            auth_basic on;
            auth_basic_user_file %%DIR%%/users;
        }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my $rollout = '/gray/releases/app/rollout';

my %plan = (
    variant => 'canary', hold => '1h', max_hold => '2h', cooldown => '1h',
    min_requests => 20,
    steps => [ { weight => 1 }, { weight => 5, gate => 'manual' },
               { weight => 50 }, { weight => 100 } ],
);


sub get { return $t->api('GET', "$rollout$_[0]") }
sub act { my ($action, @more) = @_; return $t->api('POST', "$rollout/$action",
                                                   @more) }
sub json { return JSON::PP->new->canonical->encode($_[0]) }

# requests that nginx is about to answer, this one among them

sub writing {
    my ($n) = $t->get('/status')->{body} =~ /^Reading: \d+ Writing: (\d+)/m;

    return $n;
}


# by hand

sub weigh {
    my ($weight) = @_;

    my $patched = $t->api('PATCH', '/gray/releases/app',
                          { variants => { canary => { weight => $weight } } });

    is($patched->{status}, 200, "$weight% by hand") or diag($patched->{body});

    return;
}


# a connection on which a verdict is waited for

sub held {
    my ($wait) = @_;

    my ($before, $again);

    # who has left may be counted for a moment yet

    wait_until(sub {
        ($before, $again) = ($again, writing());

        return defined $before && $before == $again;
    });

    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text('GET',
                                        "$rollout/verdict?wait=$wait", []));

    wait_until(sub { writing() == $before + 1 })
        or die "the verdict is not waited for\n";

    return $connection;
}


sub answer {
    my ($connection) = @_;

    my $r = $connection->receive('GET') || { status => 0, body => '{}' };

    $r->{json} = JSON::PP::decode_json($r->{body});

    return $r;
}


# -- no rollout

for my $release ('app', 'other') {
    my $r = $t->api('GET', "/gray/releases/$release/rollout");

    is($r->{status}, 404, "$release: no rollout");
    like($r->{json}{detail}, qr{"variant" and "steps".*$release/rollout/start},
         "$release: how to make one");
}

is(get('/verdict')->{status}, 404, 'no verdict');
is(act('abort')->{status}, 404, 'nothing to abort');
is(get('/gate')->{status}, 403, 'a gate that is shut');
is(get('/gate')->{json}{detail}, 'no rollout is under way', 'as it says');

for my $path ('rollout', 'rollout/verdict') {
    my $r = $t->api('GET', "/gray/releases/silent/$path");

    is($r->{status}, 409, "stats=off: $path");
    like($r->{json}{detail}, qr/gray_zone "off" has "stats=off"/,
         "stats=off: $path: why");
}

is($t->api('POST', '/gray/releases/silent/rollout/start')->{status}, 409,
   'stats=off: start');
is($t->api('GET', '/gray/releases/silent/rollout/gate')->{status}, 403,
   'stats=off: gate');

my $m = scrape($t, '/metrics');

is_deeply([ grep { /rollout|guard/ } keys %$m ], [],
          'no metrics without a plan');


# -- a plan alone

my $r = $t->api('PATCH', '/gray/releases/app', { rollout => \%plan });

is($r->{status}, 200, 'a plan') or diag($r->{body});
is(get('')->{json}{state}, 'idle', 'it is idle');
is(get('')->{json}{weight}, 0, '... and its weight that of the document');

weigh(2.5);
is(get('')->{json}{weight}, 2.5, '... as somebody has set it');
weigh(0);

is(get('/verdict')->{status}, 409, 'idle: verdict');
is(get('/verdict')->{json}{detail}, 'no rollout is under way',
   'idle: the reason');
is(get('/verdict?wait=1h')->{json}{verdict}, 'failed', 'which is not held');
is(get('/gate')->{status}, 403, 'idle: gate');

$m = scrape($t, '/metrics');

is(total($m, 'nginx_gray_rollout_state', release => 'app', state => 'idle'),
   1, 'metrics: idle');
is(scalar(my @states = series($m, 'nginx_gray_rollout_state',
                              release => 'app')), 8, 'metrics: all states');
is(total($m, 'nginx_gray_rollout_state', release => 'other'), undef,
   'metrics: none of a release without a plan');
is(total($m, 'nginx_gray_rollout_step', release => 'app'), 0,
   'metrics: no step');
is($m->{nginx_gray_guard_limit}, undef, 'metrics: no guards');

# no action here changes anything: path, body, headers, status, what is said

my @refused = (
    [ 'start', '{"full":true}', [], 422, '/full' ],
    [ 'promote', '{"full":1}', [], 422, '/full' ],
    [ 'promote', '{"Full":true}', [], 422, '/Full' ],
    [ 'promote', '[]', [], 422, '' ],
    [ 'promote', '{', [], 400 ],
    [ 'start', '{}', [ 'Content-Type' => 'text/plain' ], 415 ],
    [ 'start', '{}', [ 'Content-Type' => '' ], 415 ],
    [ 'start', [ '{"x":', '1}' ], [ 'Content-Type' => 'application/json' ],
      422, '/x' ],
    [ 'start', undef, [ Origin => 'http://attacker.example' ], 403 ],
    [ 'start', undef, [ 'Sec-Fetch-Site' => 'cross-site' ], 403 ],
    [ 'start?comment=' . 'x' x 513, undef, [], 400 ],
    [ 'start?dry_run=1', undef, [], 400 ],
    [ 'pause', undef, [], 409 ],
    [ 'resume', undef, [], 409 ],
    [ 'approve', undef, [], 409 ],
    [ 'promote', undef, [], 409 ],
    [ 'promote', '{"full":true}', [], 409 ],
    [ 'promote', '{"full":false}', [], 409 ],
    [ 'rollback', '{}', [], 409 ],
    [ 'abort', ' {} ', [], 409 ],
);

for (@refused) {
    my ($action, $body, $headers, $status, $pointer) = @$_;
    my $name = substr "$action " . (ref $body ? "@$body" : $body // ''), 0, 40;

    $r = ref $body ? $t->request('POST', "$rollout/$action", $headers, $body)
                   : act($action, $body, @$headers);

    is($r->{status}, $status, "idle: $name") or diag($r->{body});
    $r->{json} ||= JSON::PP::decode_json($r->{body});
    is($r->{json}{errors}[0]{pointer}, $pointer, "idle: $name: where")
        if defined $pointer;
}

is($t->api('POST', '/read/releases/app/rollout/start')->{status}, 403,
   'readonly: start');

my $unknown = $t->api('POST', "$rollout/begin");

is($unknown->{status}, 404, 'an unknown action');
like($unknown->{json}{detail}, qr/no\ action\ "begin"\ .*there\ are\ start,\ pause,
                                 \ resume,\ approve,\ promote,\ rollback
                                 \ and\ abort/x, 'which ones there are');
is(get('')->{json}{state}, 'idle', 'it is idle still');


# -- it runs

$r = $t->api('POST', '/auth/releases/app/rollout/start?comment=looks%09good',
             undef, Authorization => 'Basic '
                                     . encode_base64('alice:secret', ''));

my $who = 'alice (127.0.0.1): looks\\x09good';

is($r->{status}, 200, 'start') or diag($r->{body});
is($r->{json}{state}, 'running', 'it runs');
is($r->{json}{step}, 1, 'its first step');
is($r->{json}{history}[-1]{reason}, "started by $who",
   'who has started it, and why');
is($t->api('GET', '/gray/releases/app')->{json}{variants}{canary}{weight}, 1,
   'it has the weight');
ok($t->wait_log(qr/\[notice\].*\ gray:\ release\ "app"\ rollout\ start\ by
                   \ \Q$who\E/x), 'and is in the log');
is(act('start')->{status}, 200, 'start again');

is(act('approve')->{status}, 409, 'no gate');
like(act('approve')->{json}{detail}, qr/^no gate is waited at/, 'as it says');

for my $path ('/gray', '/read') {
    $r = $t->api('GET', "$path/releases/app/rollout/gate");
    is($r->{status}, 200, "$path: gate");
    is($r->{json}{state}, 'running', "$path: its state");
}

is($t->api('POST', '/read/releases/app/rollout/gate',
           { name => 'app', phase => 'Progressing', metadata => {} })
     ->{status}, 200, 'gate: a webhook');
is($t->request('POST', "$rollout/gate", [ 'Content-Type' => 'text/plain' ],
               [ 'some', 'text' ])->{status}, 200, 'gate: any body');
is($t->request('HEAD', "$rollout/gate")->{status}, 200, 'gate: HEAD');

$r = get('/verdict');

is($r->{status}, 504, 'no verdict yet');
is($r->{json}{verdict}, 'pending', 'it is pending');
like($r->{json}{detail},
     qr/^no evidence yet: the rollout is running, step 1\b/, 'what it is at');
is($r->{json}{rollout}{state}, 'running', 'and all of it');
ok(exists $r->{json}{seconds_left}, 'how long that takes');
is($t->request('HEAD', "$rollout/verdict")->{status}, 504, 'verdict: HEAD');

my $begun = time;

$r = get('/verdict?wait=1s');

is($r->{status}, 504, 'no verdict in time');
cmp_ok(time - $begun, '>=', 0.99, 'it was waited for');

$m = scrape($t, '/metrics');

is(total($m, 'nginx_gray_rollout_state', release => 'app',
         state => 'running'), 1, 'metrics: running');
is(total($m, 'nginx_gray_rollout_state', release => 'app'), 1,
   'metrics: no other');
is(total($m, 'nginx_gray_rollout_step', release => 'app'), 1,
   'metrics: step');
is(total($m, 'nginx_gray_rollout_transitions_total', release => 'app',
         to => 'scheduled', reason => 'operator'), 1, 'metrics: transitions');
is(total($m, 'nginx_gray_guard_limit', release => 'app', guard => 'errors'),
   1.25, 'metrics: limit');
is(total($m, 'nginx_gray_guard_limit', release => 'app',
         guard => 'errors_abs'), 0.05, 'metrics: limit of a rate');
is(total($m, 'nginx_gray_guard_evidence', release => 'app',
         guard => 'errors'), 1, 'metrics: no evidence');
cmp_ok(total($m, 'nginx_gray_guard_evidence_needed', release => 'app',
             guard => 'errors'), '>=', 99, 'metrics: what is needed');
is(total($m, 'nginx_gray_guard_info', release => 'app', guard => 'errors'), 0,
   'metrics: no information');
cmp_ok(total($m, 'nginx_gray_guard_info_needed', release => 'app',
             guard => 'errors'), '>', 0, 'metrics: what is needed of it');

my $open = scrape($t, '/metrics', Accept => accept_openmetrics());

is_deeply({ map { ($_, $open->{$_}) } grep { /rollout|guard/ } keys %$open },
          { map { ($_, $m->{$_}) } grep { /rollout|guard/ } keys %$m },
          'the same in OpenMetrics');


# -- verdicts that are waited for

my $waits = held('1m');

$r = act('promote', undef, 'X-Gray-Comment' => "go\x{7f}on");

is($r->{status}, 200, 'promote') or diag($r->{body});
is($r->{json}{step}, 2, 'the next step');
like($r->{json}{reason}, qr/127\.0\.0\.1: go\\x7fon/, 'by whom');

$r = answer($waits);

is($r->{status}, 200, 'that was waited for');
is($r->{json}{verdict}, 'passed', 'it has passed');
is($r->{json}{rollout}{step}, 2, 'the step it is at');

# several, by both workers

my @waits = map { held('1m') } 1 .. 4;

is(act('pause')->{status}, 200, 'pause');
is(act('pause')->{status}, 200, 'pause again');

for my $i (0 .. $#waits) {
    $r = answer($waits[$i]);

    is($r->{status}, 409, "paused: verdict $i");
    is($r->{json}{verdict}, 'failed', "paused: verdict $i: failed");
    like($r->{json}{detail}, qr/^paused: by 127\.0\.0\.1/,
         "paused: verdict $i: the reason");
}

is(get('/gate')->{status}, 403, 'paused: gate');
like(get('/gate')->{json}{detail}, qr/^the rollout is paused: by 127/,
     'paused: gate: the reason');
is($t->api('GET', '/gray/releases/app/stats')->{json}{verdict}, 'pending',
   'paused: a verdict of statistics');

is(act('resume', '{}')->{status}, 200, 'resume');
is(get('/gate')->{status}, 200, 'resumed: gate');

# a client that leaves, and one that is let go by a worker

my $before = writing();

$waits = held('1h');
close $waits->{socket};
ok(wait_until(sub { writing() == $before }), 'a client that has gone');

$waits = held('1h');
$t->reload;
$r = answer($waits);

is($r->{status}, 504, 'a worker that shuts down');
like($r->{json}{detail}, qr/; this worker shuts down, ask again$/,
     'as it says');
is(get('')->{json}{step}, 2, 'the rollout goes on');

$waits = held('1m');
is(act('promote', '{"full":true}')->{status}, 200, 'to the last step');
is(answer($waits)->{json}{verdict}, 'passed', 'from another step');
is(get('')->{json}{state}, 'baking', 'it is baking');
is(get('/gate')->{status}, 200, 'baking: gate');


# -- statistics

my $stats = '/gray/releases/app/stats';

$r = $t->api('GET', "$stats?window=60s")->{json};

ok(!$r->{enough_data}, 'no data');
is($r->{verdict}, 'pending', 'no verdict without');

$t->get("/?u=$_") for 1 .. 20;

ok(wait_until(sub {
    ($t->api('GET', $stats)->{json}{canary}{requests} || 0) == 20
}), 'requests of the canary');

$r = $t->api('GET', "$stats?window=60s")->{json};

is($r->{enough_data}, JSON::PP::true, 'enough, as the baseline has none');
is($r->{verdict}, 'pass', 'a pass');
is($r->{canary}{error_rate}, 0, 'no errors');
ok(defined $r->{canary}{p99_ms}, 'times');
is_deeply($r->{baseline}, { name => 'stable', requests => 0,
                            error_rate => undef, p99_ms => undef },
          'the baseline');

$r = $t->api('GET', '/gray/releases/other/stats')->{json};

is($r->{canary}, undef, 'two others than the baseline: none is the canary');
is($r->{verdict}, undef, 'no rollout, no verdict');


# -- its end

$waits = held('1m');

$r = act('rollback', undef, 'X-Gray-Comment' => 'it smells');

is($r->{status}, 200, 'rollback') or diag($r->{body});
is(act('rollback')->{status}, 200, 'rollback again');
is($t->api('GET', '/gray/releases/app')->{json}{variants}{canary}{weight}, 0,
   'no weight');

$r = answer($waits);

is($r->{status}, 409, 'rolled back');
like($r->{json}{detail}, qr/^rolled back: .*127\.0\.0\.1: it smells/,
     'the reason');
is(get('/gate')->{status}, 403, 'rolled back: gate');

$r = act('start');
is($r->{status}, 409, 'no new start');
like($r->{json}{detail}, qr/cools down for 3\d\d\d s more: .*it smells/, 'yet');

$t->api('PATCH', '/gray/releases/app',
        { rollout => { cooldown => '0s', info_nats => 0 } });
ok(wait_until(sub { get('')->{json}{state} eq 'idle' }), 'it has cooled down');

is(act('start')->{status}, 200, 'it starts anew');

$r = get('/verdict')->{json};
is($r->{verdict}, 'pending', 'which needs requests, and there are none:');
is($r->{seconds_left}, undef, 'nobody knows how long that takes');
unlike($r->{detail}, qr/ s to go/, '... or says so');


# who asks twice, as for want of the answer, gets one step

my @same = ('If-Match' => $t->request('HEAD', '/gray/releases/app', [])
                            ->{headers}{etag});

is(act('promote', undef, @same)->{status}, 200, 'If-Match: the next step');

$r = act('promote', undef, @same);

is($r->{status}, 412, 'If-Match: but once');
like($r->{json}{detail}, qr/^If-Match names another revision .* \d+$/,
     'If-Match: as it says');
is(act($_, undef, 'If-Match' => '"1"')->{status}, 412, "If-Match: $_")
    for qw(start pause rollback abort);

$r = act('promote', undef, 'If-None-Match' => '*');

is($r->{status}, 412, 'If-None-Match: there is a revision');
like($r->{json}{detail}, qr/^If-None-Match names the current revision, \d+, or/,
     'If-None-Match: as it says');
is(get('')->{json}{step}, 2, 'If-Match: it is where it was');
is(get('')->{json}{state}, 'running', 'If-Match: and as it was');
is(act('pause', undef, 'If-Match' => '*')->{status}, 200, 'If-Match: any');
is(act('resume')->{status}, 200, 'and on');

$waits = held('1m');
is(act('abort')->{status}, 200, 'abort');
is(answer($waits)->{status}, 409, 'aborted');
is($t->api('GET', $stats)->{json}{verdict}, 'fail', 'a verdict of statistics');
is(act('abort')->{status}, 200, 'abort again');
is(act('rollback')->{status}, 409, 'nothing to roll back');

# without the plan, what there was is there

$t->api('PATCH', '/gray/releases/app', { rollout => undef });

is(get('')->{json}{state}, 'aborted', 'no plan: the rollout');

weigh(7);
is(get('')->{json}{weight}, 7, 'no plan: the weight is that of the document');
is(act('start')->{status}, 409, 'no plan: start');
is(total(scrape($t, '/metrics'), 'nginx_gray_rollout_state',
         release => 'app', state => 'aborted'), 1, 'no plan: metrics');

$t->done;

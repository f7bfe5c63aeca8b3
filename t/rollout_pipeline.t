#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Pipelines: examples/ci/rollout.sh follows rollouts of a real nginx to each of
# their ends, also over a reload; and each address, JSON path, metric and
# command of the other files there is asked for while a rollout is well, and
# once it is not.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;

my $curl = (grep { -x } map { "$_/curl" } split /:/, $ENV{PATH})[0];

plan(skip_all => 'there is no curl') unless $curl;

my $ci = "$FindBin::Bin/../examples/ci";
my $script = "$ci/rollout.sh";


my $t = Test::Gray->new;

# a part of what the canary gets is answered by 500, as the file says

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 2m state=state;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release checkout {
        zone     gray;
        hash     $arg_u;
        variant  stable app_v1;
        variant  canary app_v2;
    }

    server {
        listen      127.0.0.1:%%PORT%%;
        server_name gray.edge;

        location /          { proxy_pass http://checkout; }
        location /gray/     { gray_admin; }
        location = /metrics { gray_metrics; }
    }

    split_clients $arg_u $unlucky {
        50%  1;
        *    0;
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 stable; }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        set $broken 0;
        if (-f %%DIR%%/broken) { set $broken $unlucky; }
        if ($broken) { return 500; }
        return 200 canary;
    }
}
END

my $release = '/gray/releases/checkout';
my $url = 'http://127.0.0.1:' . $t->port . $release;
my $users = 0;

# the plan that is given, with times for a test

my $given = JSON::PP::decode_json(slurp("$ci/plan.json"));

sub plan_file {
    my (%change) = @_;

    my $plan = JSON::PP::decode_json(JSON::PP::encode_json($given))->{rollout};

    delete $_->{hold} for @{ $plan->{steps} };

    return $t->write_file('plan.json', JSON::PP::encode_json({ rollout => {
        %$plan, hold => '1s', warmup => '0s', min_requests => 10,
        info_nats => 0, cooldown => '0s', unit => 'request', %change } }));
}


sub traffic {
    $t->many(100, sub { '/?u=' . ++$users });
    return;
}


# starts the script, with a plan that is changed so

sub begin {
    my (%change) = @_;

    my $variant = delete $change{of} || '';
    my $plan = plan_file(%change);

    unlink $t->dir . "/$_" for qw(said status);

    $t->spawn('/bin/sh', '-c',
              "GRAY_COMMENT=build GRAY_WAIT=2s GRAY_VARIANT=$variant "
              . "'$script' $url $plan"
              . ' >said 2>&1; echo $? >status.new; mv status.new status');

    return;
}


# the script with an option, which ends at once: status, and what it says

sub with_option { return capture('env', 'GRAY_WAIT=0', $script, @_, $url) }


sub said { return slurp($t->dir . '/said') }

# requests go on until the code returns something true

sub under_traffic {
    my ($code) = @_;

    return wait_until(sub { traffic(); return $code->() }, 60);
}


sub ended { return -e $t->dir . '/status' }


sub is_ended {
    my ($status, $said, $title) = @_;

    ok(under_traffic(\&ended), "$title: the script ends");
    is(slurp($t->dir . '/status') + 0, $status, "$title: its status")
        or diag(said());
    like(said(), $said, "$title: what it says");

    return;
}


sub cooled_down {
    $t->api('PATCH', $release, { rollout => { cooldown => '0s' } });
    wait_until(sub { rollout()->{state} eq 'idle' })
        or die "the rollout does not cool down\n";

    return;
}


sub rollout { return $t->api('GET', "$release/rollout")->{json} }


# -- all is well

is((with_option('-n'))[1], "canary\n", 'the next one is the canary');

begin();

ok(under_traffic(sub { (rollout()->{step} || 0) >= 2 }), 'a second step');
$t->reload;
is_ended(0, qr/^succeeded: /m, 'success');
like(said(), qr/^running: step [2-4] of 4/m, 'success: the steps');
is($t->api('GET', $release)->{json}{baseline}, 'canary', 'the new baseline');

my $history = $t->api('GET', "$release/history")->{json}{revisions};

like($history->[0]{author} . $history->[0]{comment}, qr/^rollout/,
     'by the rollout');

# once more: there is nothing to roll out

begin();
is_ended(2, qr/^it was not started, 409: .*is the baseline already/m,
         'nothing to roll out');

# the next version is where the old one was

is((with_option('-n'))[1], "stable\n", 'the next one is where nobody is');

begin(of => 'stable', hold => '1h', max_hold => '1h', cooldown => '1h');
ok(wait_until(sub { (rollout()->{state} || '') eq 'running' }),
   'the other way');
is(rollout()->{variant}, 'stable', 'the other way: that variant');
is_deeply([ (with_option('-n'))[0, 2] ],
          [ 2, 'a rollout is under way, it is running: ' . rollout()->{reason}
               . "\n" ], 'nothing is deployed into a rollout');

my ($follows, undef, $another) = capture($script, $url, plan_file());

is($follows, 2, 'another build does not take part in it');
like($another, qr/^a rollout is under way, it is running/, 'as it says');

$t->api('POST', "$release/rollout/rollback");
is_ended(1, qr/^it has failed: rolled back: /m, 'the other way, and back');
cooled_down();

# nor one that comes when another one has looked, too, but not started yet: a
# curl that is beaten to it

mkdir $t->dir . '/faster' or die "faster: $!\n";
chmod 0755, $t->write_file('faster/curl', <<"END");
#!/bin/sh
case "\$*" in
*/rollout/start*)  $curl -sS -X POST '$url/rollout/start' >/dev/null ;;
esac
exec $curl "\$@"
END

($follows, undef, $another) =
    capture('env', 'PATH=' . $t->dir . "/faster:$ENV{PATH}",
            'GRAY_VARIANT=stable', 'GRAY_WAIT=1s', $script, $url,
            plan_file(hold => '1h', max_hold => '1h'));

is($follows, 2, 'nor one that is a moment too late');
like($another, qr/^it was not started, 412: If-Match names another rev/,
     'as it says');
is(rollout()->{state}, 'running', '... which leaves the other one alone');

# nor is anything deployed to users whose rollout was aborted

$t->api('POST', "$release/rollout/abort");
is_deeply([ with_option('-n') ],
          [ 2, '', "5% of all have stable: PATCH its weight to 0 before\n" ],
          'nothing is deployed to users');

$t->api('POST', "$release/rollout/start");
$t->api('POST', "$release/rollout/rollback");
cooled_down();
is((with_option('-n'))[1], "stable\n", 'but where nobody is');

my ($over, undef, $none) = with_option('-f');

is($over, 1, 'nothing to be followed');
like($none, qr/^it has failed: no rollout is under way: by 127/, 'as it says');
is(rollout()->{state}, 'idle', 'and nothing is started');

$t->api('PATCH', $release,
        { baseline => 'stable', variants => { stable => { weight => undef },
                                              canary => { weight => 0 } } });


# -- what the other files ask for

begin(hold => '1h', max_hold => '1h', cooldown => '1h');

# enough of both arms for "enough_data"

ok(under_traffic(sub {
    my $stats = $t->api('GET', "$release/stats?window=60s")->{json};

    return rollout()->{state} eq 'running' && $stats->{enough_data};
}), 'enough data');

asked(1, 'well');
commands('approve' => 'Conflict');

# the gate shuts, and the verdict is a failure

$t->write_file('broken', '');
is_ended(1, qr/^it has failed: rolled back: /m, 'a canary that breaks');
asked(0, 'rolled back');
is($t->api('GET', $release)->{json}{variants}{canary}{weight}, 0,
   'without weight');

unlink $t->dir . '/broken';
cooled_down();


# -- other ends

begin(hold => '1h', max_hold => '1h', cooldown => '1h');
ok(wait_until(sub { said() =~ /^no evidence yet: the rollout is running/m }),
   'it is held');
commands('rollback' => undef);
is_ended(1, qr/^it has failed: rolled back: by 127\.0\.0\.1/m,
         'rolled back by a person');
cooled_down();

begin(hold => '1h', max_hold => '1h');
ok(wait_until(sub { (rollout()->{state} || '') eq 'running' }), 'it runs');
$t->api('POST', "$release/rollout/pause?comment=lunch");
is_ended(1, qr/^it has failed: paused: by 127\.0\.0\.1: lunch/m, 'paused');
$t->api('POST', "$release/rollout/abort");

begin(variant => 'nobody');
is_ended(2, qr{^the plan was not taken, 422.*\z}ms, 'a plan that is none');
like(said(), qr{/rollout/variant}, 'what is wrong');

my ($status, undef, $err) = capture($script);

is($status, 2, 'no arguments');
like($err, qr/rollout\.sh URL \[PATCH\]/, 'how it is called');

($status, undef, $err) = capture('env', 'GRAY_TRIES=2', $script,
                                 'http://127.0.0.1:1/gray/releases/checkout');

is($status, 2, 'no nginx');
like($err, qr/^it was not started, 000/m, 'as it says');

# both run the script that is there, with the plan that is there

for my $file ('gitlab-ci.yml', 'Jenkinsfile') {
    like(slurp("$ci/$file"),
         qr{examples/ci/rollout\.sh "\$GRAY_URL" examples/ci/plan\.json},
         "$file runs the script");
}

is($t->api('PATCH', "$release?dry_run=1", slurp("$ci/plan.json"))->{status},
   200, 'the plan as it is given');

$t->done;


# -- parts

# the answer to an address of a file, with the host that is meant there

sub asked_of {
    my ($method, $address) = @_;

    my ($host, $path) = $address =~ m{^http://([\w.]+):9080(/gray/.*)$}
        or die "no address of ours: $address\n";

    $path =~ s/\{\{args\.release\}\}/checkout/;

    # a webhook of Flagger

    my $body = $method eq 'POST'
        ? { name => 'checkout', namespace => 'test', phase => 'Progressing',
            checksum => '85d557f47b', metadata => {} } : undef;

    return $t->api($method, $path, $body, Host => $host);
}


# what a path as {$.canary.p99_ms} leads to

sub at_path {
    my ($json, $path) = @_;

    my ($names) = $path =~ /^\{\$\.([\w.]+)\}$/ or die "no path: $path\n";

    for my $name (split /\./, $names) {
        return unless ref $json eq 'HASH' && exists $json->{$name};
        $json = $json->{$name};
    }

    return $json;
}


sub asked {
    my ($well, $title) = @_;

    # Argo Rollouts: what each metric is

    my %results = (
        verdict => sub { $_[0] eq ($well ? 'pass' : 'fail') },
        errors  => sub { $_[0]{enough_data} =~ /^[01]$/
                         && $_[0]{canary}{error_rate} =~ /^[\d.e-]+$/ },
        slowest => sub { $_[0] =~ /^\d+(?:\.\d+)?$/ },
        gate    => sub { $_[0] eq 'running' },
    );

    my (undef, @metrics) = split /^    - name: /m,
                           slurp("$ci/argo-rollouts.yaml") =~ s/.*metrics:\n//sr;

    is(scalar @metrics, scalar keys %results, "$title: Argo: all metrics");

    for my $metric (@metrics) {
        my ($name) = $metric =~ /^(\w+)/;
        my ($address) = $metric =~ /^ +url: "(.*)"/m;
        my ($path) = $metric =~ /^ +jsonPath: "(.*)"/m;
        my $r = asked_of('GET', $address);

        if ($name eq 'gate' && !$well) {
            is($r->{status}, 403, "$title: Argo: $name is shut");
            next;
        }

        is($r->{status}, 200, "$title: Argo: $name");

        my $result = $path ? at_path($r->{json}, $path) : $r->{json};

        ok(defined $result && $results{$name}->($result),
           "$title: Argo: $name: the result") or diag($r->{body});
    }

    # Flagger: its webhooks, and what its queries ask of Prometheus

    my $flagger = slurp("$ci/flagger.yaml");
    my @hooks = $flagger =~ /^ +url: (.*)/mg;

    cmp_ok(scalar @hooks, '>=', 2, "$title: Flagger: webhooks");
    is(asked_of('POST', $_)->{status}, $well ? 200 : 403,
       "$title: Flagger: $_") for @hooks;

    my $m = scrape($t, '/metrics');
    my $n = 0;

    while ($flagger =~ /(nginx_gray_\w+)\{([^}]*)\}/g) {
        my ($name, $labels) = ($1, $2);

        ok(defined total($m, $name, $labels =~ /(\w+)="(.*?)"/g),
           "$title: Flagger: $name");
        $n++;
    }

    cmp_ok($n, '>=', 4, "$title: Flagger: queries");

    return;
}


# the line with curl of a job; what it says where it fails

sub commands {
    my ($job, $wanted) = @_;

    my ($command) = slurp("$ci/gitlab-ci.yml")
                    =~ m{^    - (curl .*/rollout/$job")$}m
        or die "no job \"$job\"\n";

    my ($status, $out) = capture('env', "GRAY_URL=$url", 'GRAY_CURL=-q',
                                 '/bin/sh', '-c', $command);

    if (defined $wanted) {
        isnt($status, 0, "GitLab: $job fails");
        like($out, qr/"title": "$wanted"/, "GitLab: $job: why");

    } else {
        is($status, 0, "GitLab: $job") or diag($out);
    }

    # that of Jenkins, if it has one

    ok(index(slurp("$ci/Jenkinsfile"), q("$GRAY_URL/rollout/rollback")) > 0,
       'Jenkins: rolls back');

    return;
}

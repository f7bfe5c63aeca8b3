#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# gray_metrics, read by others: promtool, and a Prometheus that scrapes, which
# then answers the queries of docs/metrics.md, and those of Flagger.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Exposition;
use Test::Gray::Process;

for (qw(prometheus promtool)) {
    plan(skip_all => "no $_") if (capture($_, '--version'))[0] != 0;
}

my $t = Test::Gray->new;
my $delay = 0.1;

$t->daemon(slow => http(sub { select undef, undef, undef, $delay; 'canary' }));

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release checkout {
        zone     gray;
        hash     $arg_u;
        variant  stable app_v1;
        variant  canary app_v2 weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        location / { return 200 stable; }
    }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        location / { return 200 canary; }
        location /error { return 503 canary; }
        location /slow { proxy_pass http://127.0.0.1:%%PORT_slow%%; }
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /       { proxy_pass http://checkout; }
        location /gray/  { gray_admin; }
        location = /m    { gray_metrics; }
        location = /both { gray_metrics ingress_nginx; }
    }
}
END

my @users = map { "user-$_" } 1 .. 60;
my %got;


sub traffic {
    my ($path) = @_;

    for my $answer ($t->many(scalar @users,
                             sub { ("$path?u=$users[$_[0]]") }))
    {
        $got{ $answer->{body} }{ $answer->{status} }++;
    }

    return;
}


# -- promtool

sub promtool {
    my ($path, @headers) = @_;

    my $file = $t->write_file('metrics', $t->get($path, @headers)->{body});

    return capture('sh', '-c', "promtool check metrics <$file");
}


sub is_sound {
    my ($title) = @_;

    my ($status, $out, $err) = promtool('/m');

    is("$status $out$err", '0 ', "promtool, $title");

    # that ingress-nginx has a counter of that name is not ours to change

    ($status, $out, $err) = promtool('/both');

    like($err, qr/\A nginx_ingress_controller_requests\ counter\ metrics
                  \ should\ have\ "_total"\ suffix\n \z/x,
         "promtool, $title, names of ingress-nginx");

    # it takes OpenMetrics where there are times

    my $text = $t->get('/both', Accept => accept_openmetrics())->{body};
    my $time = time - 60;

    $text =~ s/^([^#].*)$/$1 $time/mg;

    my $file = $t->write_file('openmetrics', $text);
    my $blocks = $t->dir . "/blocks-$time-" . length $title;

    ($status, $out, $err) = capture('promtool', 'tsdb', 'create-blocks-from',
                                    'openmetrics', $file, $blocks);
    is($status, 0, "promtool, $title, OpenMetrics") or diag($err);

    return;
}


is_sound('zeros');
traffic('/');

my @canary = grep {
    my $answer = $t->api('POST', '/gray/releases/checkout/explain',
                         { '$arg_u' => $_ });
    $answer->{json}{variant} eq 'canary';
} @users;

is_sound('with requests');

my ($status) = capture('sh', '-c', 'echo "a{b} 1" | promtool check metrics');
isnt($status, 0, 'promtool refuses what is none');


# -- Prometheus

$t->write_file('prometheus.yml', $t->expand(<<'END'));
scrape_configs:
  - job_name: nginx_gray
    scrape_interval: 500ms
    scrape_timeout: 500ms
    metrics_path: /both
    static_configs:
      - targets: ["127.0.0.1:%%PORT%%"]
        labels: { namespace: shop }
END

{
    local $ENV{GOMAXPROCS} = 1;

    $t->spawn('prometheus', '--config.file=' . $t->dir . '/prometheus.yml',
              '--storage.tsdb.path=' . $t->dir . '/tsdb',
              '--web.listen-address=127.0.0.1:' . $t->port('prometheus'));
}

my $http = $t->http('prometheus');


sub api {
    my ($path, %argument) = @_;

    my $query = join '&', map {
        my $value = $argument{$_};
        $value =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
        "$_=$value";
    } keys %argument;

    my $answer = $http->api('GET', "/api/v1/$path?$query");

    return $answer->{json} || { status => $answer->{status},
                                error => $answer->{body} };
}


# the only value, or undef, or why there is none; what a scrape has missed, as
# it came too late, the next one has

sub query {
    my ($promql) = @_;

    my $is;

    wait_until(sub {
        $is = value($promql);
        return defined $is || (value('up') || 0) eq '1';
    });

    return defined $is ? $is : value($promql);
}


sub value {
    my ($promql) = @_;

    my $answer = api('query', query => $promql);

    return "$answer->{error}" if $answer->{status} ne 'success';

    my @result = @{ $answer->{data}{result} };

    return unless @result;
    return "more than one value" if @result > 1;
    return $result[0]{value}[1];
}


sub becomes {
    my ($promql, $value, $name) = @_;

    my $is;

    ok(wait_until(sub {
        $is = query($promql);
        return defined $is && $is eq $value;
    }), $name) or diag((defined $is ? $is : 'nothing') . " of $promql");

    return;
}


sub is_about {
    my ($promql, $value, $off, $name) = @_;

    my $is = query($promql);

    ok(defined $is && $is =~ /^-?[\d.]+(?:e-?\d+)?$/
       && abs($is - $value) <= $off, $name)
        or diag((defined $is ? $is : 'nothing') . " and not $value\n$promql");

    return;
}


ok(wait_until(sub { $http->get('/-/ready')->{status} == 200 }, 60 * 2),
   'Prometheus is there');
becomes('up', 1, 'it scrapes');
becomes('sum(nginx_gray_requests_total)', scalar @users,
        'and has what was counted');

my $error;

ok(wait_until(sub {
    $error = api('targets')->{data}{activeTargets}[0]{lastError};
    return $error eq '';
}), 'without an error') or diag($error);
becomes('scrape_samples_scraped', samples('/both'),
        'it has read every sample');

# more, so that there is an increase

for (1 .. 3) {
    traffic('/error');
    becomes('sum(nginx_gray_requests_total)', @users * ($_ + 1), "and more");
}

is_deeply([ map { query("sum(nginx_gray_requests_total{variant=\"$_\"})") }
            qw(stable canary) ],
          [ $got{stable}{200}, $got{canary}{200} + $got{canary}{503} ],
          'requests, by variant');
is(query('sum(nginx_gray_requests_total{code="5xx"})'), $got{canary}{503},
   'errors');
is(query('sum(nginx_gray_requests_total{variant="stable",code="5xx"})'), 0,
   'no errors are 0, not absent');
is_about('sum(rate(nginx_gray_requests_total{variant="canary",code="5xx"}[1m]'
         . ')) / sum(rate(nginx_gray_requests_total{variant="canary"}[1m]))',
         1, 0.01, 'since it scrapes, the canary had errors alone');
is(query('nginx_gray_weight_ratio{variant="canary"}'), 0.5, 'weight');
is(query('count(nginx_gray_request_duration_seconds_bucket)'), 64, 'buckets');
is(query('nginx_gray_build_info{version!="",nginx!=""}'), 1, 'build_info');

my %type = (
    nginx_gray_requests_total           => 'counter',
    nginx_gray_weight_ratio             => 'gauge',
    nginx_gray_request_duration_seconds => 'histogram',
    nginx_gray_build_info               => 'info',
    nginx_ingress_controller_requests   => 'unknown',
);

for my $name (sort keys %type) {
    my $data = api('metadata')->{data};

    # it keeps metadata by the name of the family

    my ($known) = grep { $data->{$_} }
                  $name, $name =~ s/_(?:total|info)\z//r;

    is($known && $data->{$known}[0]{type}, $type{$name}, "type of $name");
}

# the queries of Flagger, as it has them

sub flagger {
    my ($text) = @_;

    $text =~ s/\{\{ namespace \}\}/shop/g;
    $text =~ s/\{\{ ingress \}\}/checkout/g;
    $text =~ s/\{\{ interval \}\}/1m/g;

    return $text;
}


my $ratio = flagger(<<'END');
sum( rate( nginx_ingress_controller_requests{ namespace="{{ namespace }}",
    ingress="{{ ingress }}", canary!="", status!~"5.*" }[{{ interval }}] ) )
/ sum( rate( nginx_ingress_controller_requests{ namespace="{{ namespace }}",
    ingress="{{ ingress }}", canary!="" }[{{ interval }}] ) ) * 100
END
my $duration = flagger(<<'END');
sum( rate( nginx_ingress_controller_response_duration_seconds_sum{
    namespace="{{ namespace }}", ingress="{{ ingress }}",
    canary!="" }[{{ interval }}] ) )
/ sum( rate( nginx_ingress_controller_response_duration_seconds_count{
    namespace="{{ namespace }}", ingress="{{ ingress }}",
    canary!="" }[{{ interval }}] ) ) * 1000
END

is_about($ratio, 0, 0.01, 'Flagger: success rate, errors alone');

# all that the canary gets is slow now, and is a part of what it got

$t->many(10, sub { ("/slow?u=$canary[$_[0] % @canary]") });
becomes('sum(nginx_gray_requests_total)', @users * 4 + 10, 'the slow ones');

cmp_ok(query('sum(nginx_gray_request_duration_seconds_sum'
             . '{variant="canary"})'), '>=', 10 * $delay, 'their time');
cmp_ok(query($duration), '>=', $delay * 1000 / 20, 'Flagger: duration');
cmp_ok(query($duration =~ s/canary!=/canary=/gr), '<', $delay * 1000 / 20,
       'of the baseline, too');

(my $stable = $ratio) =~ s/canary!=/canary=/g;

is_about($stable, 100, 0.01, 'success rate of the baseline');

traffic('/') for 1 .. 3;
becomes('sum(nginx_gray_requests_total)', @users * 7 + 10, 'and no errors');
is_about($ratio, 50, 15, 'Flagger: success rate, half of it errors');
is(query($ratio =~ s/ingress="checkout"/ingress="other"/gr), undef,
   'Flagger: of another ingress there is nothing');

# statuses, as others ask for them

my $all = "sum(nginx_ingress_controller_requests{canary='canary',%s})";
my $good = $got{canary}{200} + 10;
my $bad = $got{canary}{503};

for ([ 'status!~"[4-5].*"', $good ], [ 'status!~"5.."', $good ],
     [ 'status=~"5.."', $bad ], [ 'status=~"5\\\\d\\\\d"', $bad ],
     [ 'status=~"5[0-9]{2}"', $bad ], [ 'status="200"', $good ],
     [ 'status=~"[23].."', $good ], [ 'status!~"^5.*"', $good ])
{
    is(query(sprintf $all, $_->[0]), $_->[1], "alias: $_->[0]");
}

# a rollout that waits for somebody

$t->api('PATCH', '/gray/releases/checkout', { rollout => {
    variant => 'canary', hold => '1h', max_hold => '1h',
    steps => [ { weight => 50 }, { weight => 100 } ] } });

for my $action (qw(start pause)) {
    is($t->api('POST', "/gray/releases/checkout/rollout/$action")->{status},
       200, "a rollout: $action");
}

is_sound('with a rollout');
becomes('sum(nginx_gray_rollout_state{state="paused"})', 1, 'it is paused');

# the queries of the docs

my $docs = slurp("$FindBin::Bin/../docs/metrics.md");
my $n = 0;

while ($docs =~ /^```promql\n(.*?)^```$/msg) {
    for my $query (split /\n\n+/, $1) {
        my ($title) = $query =~ /^# (.*)/;
        my $answer = api('query', query => $query);

        is($answer->{status}, 'success', "docs: $title")
            or diag($answer->{error});

        my $found = @{ $answer->{data}{result} || [] };

        $title =~ /switched off/ ? is($found, 0, "docs: $title: none")
                                 : cmp_ok($found, '>', 0, "docs: $title: some");
        $n++;
    }
}

cmp_ok($n, '>=', 8, 'queries in the docs');

$t->done;


# lines that are samples

sub samples {
    my ($path) = @_;

    return scalar grep { /^[^#]/ }
           split /\n/, $t->get($path, Accept => accept_openmetrics())->{body};
}

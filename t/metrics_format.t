#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# gray_metrics: what is served, in both formats, to whom, and by which methods.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Exposition;
use Test::Gray::Process;
use Test::Gray::Release;

my $long    = 'r' x 63;
my $variant = 'v-1.' . 'x' x 58 . '_';
my $other   = 'V' . '.' x 31 . '-' x 31;
my $rule    = 'rule-' . '.' x 58;

my $t = Test::Gray->new;

# answers as soon as there is a file

my $answer = $t->dir . '/answer';

$t->daemon(wait => http(sub { wait_until(sub { -e $answer }); 'waited' }));

$t->config(<<"END")->start;
worker_processes 2;

http {
    variables_hash_bucket_size 256;

    gray_zone "z\\"\\\\\\nq" 4m;
    gray_zone off 1m stats=off;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone     "z\\"\\\\\\nq";
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=20%;
        match    canary \$http_x_canary = y name=testers;
        match    stable \$http_x_canary = n;
    }

    gray_release $long {
        zone     "z\\"\\\\\\nq";
        cookie   uid;
        variant  $variant v1;
        variant  $other v2 weight=0.0001%;
        match    $other \$arg_rule = y name=$rule;
    }

    gray_release chance {
        zone     "z\\"\\\\\\nq";
        variant  off;
        variant  on weight=50%;
        match    on \$arg_x ~ (a+)+\$ name=slow;
    }

    gray_release quiet {
        zone     off;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=12.5%;
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        listen 127.0.0.1:%%PORT_v2%%;

        location / { return 200 \$server_port; }
        location /302 { return 302 /; }
        location /404 { return 404; }
        location /500 { return 500; }
        location /wait { proxy_pass http://127.0.0.1:%%PORT_wait%%; }
    }

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  metrics.test;

        location /         { proxy_pass http://app; }
        location /long     { proxy_pass http://$long; }
        location /quiet    { proxy_pass http://quiet; }
        location /chance   { return 200 \$gray_chance; }
        location /gray/    { gray_admin; }
        location /reading/ { gray_admin readonly; }

        location /metrics  { gray_metrics; }
        location /remote   { gray_metrics remote; }
        location /alias    { gray_metrics ingress_nginx; }
        location /both     { gray_metrics ingress_nginx remote; }
        location /denied   { gray_metrics remote; deny all; }
        location /post     { gray_metrics; limit_except GET { deny all; } }
        location /put      { gray_metrics; limit_except GET { allow all; } }
        location /if       { gray_metrics; if (\$arg_u) { set \$x 1; } }
        location ~ /any\$  { gray_metrics; }
        location /page     { error_page 405 = \@named; return 405; }
        location \@named   { gray_metrics; }
        location /rewrite  { rewrite ^ /metrics last; }

        location /zip {
            gray_metrics;
            gzip             on;
            gzip_types       text/plain application/openmetrics-text;
            gzip_min_length  1;
        }

        location /outer {
            gray_metrics;
            location /outer/inner { return 200 inner; }
        }
    }
}
END


# -- the reader refuses what it is to refuse

my $head = "# HELP a x\n# TYPE a ";
my $times = "# HELP h x\n# TYPE h histogram\n";
my $whole = $times . qq(h_bucket{le="0.1"} 1\nh_bucket{le="+Inf"} 2\n)
            . "h_sum 3.5\nh_count 2\n";

my @texts = (
    [ $head . "counter\na 1\n", 'text' ],
    [ "# HELP a x\n# TYPE a counter\na_total 1\n# EOF\n", 'openmetrics' ],
    [ "# HELP a x\n# TYPE a info\na_info{b=\"\\\"\\\\\\n\"} 1\n# EOF\n",
      'openmetrics' ],
    [ $whole, 'text' ],
    [ "$whole# EOF\n", 'openmetrics' ],
    [ '', '', qr/nothing/ ],
    [ $head . "counter\na 1", '', qr/has no end/ ],
    [ $head . "counter\na 1\n# EOF\n", 'text', qr/neither HELP/ ],
    [ $head . "counter\na_total 1\n", 'openmetrics', qr/no # EOF/ ],
    [ $head . "counter\na_total 1\n# EOF\n\n", 'openmetrics', qr/no # EOF/ ],
    [ $head . "counter\na_total 1\n# EOF\n# EOF\n", 'openmetrics',
      qr/neither HELP/ ],
    [ $head . "counter\na 1\n# EOF\n", 'openmetrics', qr/not of the family/ ],
    [ "# HELP a_total x\n# TYPE a_total counter\n# EOF\n", 'openmetrics',
      qr/counter of that name/ ],
    [ $head . "info\na 1\n", 'text', qr/unknown type/ ],
    [ $head . "info\na_info 2\n# EOF\n", 'openmetrics', qr/not 1/ ],
    [ "a 1\n", '', qr/no family/ ],
    [ "# HELP a x\na 1\n", '', qr/no TYPE/ ],
    [ "# TYPE a counter\na 1\n", '', qr/no HELP/ ],
    [ "# HELP a x\n# HELP b x\n", '', qr/a has no TYPE/ ],
    [ $head . "counter\n# TYPE a gauge\n", '', qr/second TYPE/ ],
    [ $head . "counter\na 1\n\n", '', qr/no sample/ ],
    [ $head . "counter\na 1\n# HELP b x\n# TYPE b gauge\n" . $head
      . "counter\n", '', qr/was there before/ ],
    [ $head . "counter\na 1\nb 1\n", '', qr/not of the family/ ],
    [ $head . "counter\na 1\na 2\n", '', qr/is there twice/ ],
    [ $head . "counter\na{b=\"c\",d=\"e\"} 1\na{d=\"e\",b=\"c\"} 2\n", '',
      qr/is there twice/ ],
    [ $head . "counter\na{b=\"c\",b=\"d\"} 1\n", '', qr/label b/ ],
    [ $head . "counter\na{b=\"c\",} 1\n", '', qr/labels that are none/ ],
    [ $head . "counter\na{b=\"c\\d\"} 1\n", '', qr/labels that are none/ ],
    [ $head . "counter\na{b=\"c\"d\"} 1\n", '', qr/labels that are none/ ],
    [ $head . "counter\na{1=\"c\"} 1\n", '', qr/labels that are none/ ],
    [ $head . "counter\na -1\n", '', qr/no sample/ ],
    [ $head . "counter\na  1\n", '', qr/no sample/ ],
    [ $head . "counter\na 1.\n", '', qr/no sample/ ],
    [ $head . "counter\na{b=\"\xff\"} 1\n", '', qr/utf8|UTF-8/ ],
    [ $head . "gauge\na{le=\"1\"} 1\n", '', qr/no histogram/ ],
    [ $times . "h_sum 1\n", '', qr/no buckets before/ ],
    [ $times . "h_bucket{le=\"1.5\"} 1\nh_sum 1\n", '', qr/no bucket \+Inf/ ],
    [ $times . "h_bucket{le=\"1.5\"} 1\nh_bucket{le=\"1.5\"} 1\n", '',
      qr/is there twice/ ],
    [ $times . "h_bucket{le=\"2.5\"} 1\nh_bucket{le=\"1.5\"} 1\n", '',
      qr/do not ascend/ ],
    [ $times . "h_bucket{le=\"2.5\"} 2\nh_bucket{le=\"3.5\"} 1\n", '',
      qr/less than the bucket/ ],
    [ $times . "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 1\n", '',
      qr/not the count/ ],
    [ $times . "h_bucket{le=\"+Inf\"} 2\nh_count 2\n", '', qr/no sum/ ],
    [ $times . "h_bucket{le=\"+Inf\"} 2\nh_sum 2\n", '', qr/has no end/ ],
    [ $times . "h_bucket{le=\"1\"} 2\n# EOF\n", 'openmetrics', qr/no float/ ],
    [ $head . "info\n# HELP a_info x\n# TYPE a_info gauge\n# EOF\n",
      'openmetrics', qr/a_info is a sample of a/ ],
);

for (@texts) {
    my ($text, $format, $fault) = @$_;
    my $is = eval { exposition($text, $format eq 'openmetrics'); 1 };

    $fault ? like($is ? 'no fault' : $@, $fault, "refused: $fault")
           : ok($is, "read, $format") || diag($@);
}


# -- all that there is before any request

my @codes = map { "code=$_" } qw(1xx 2xx 3xx 4xx 499 5xx);
my @edges = qw(+Inf 0.001 0.002 0.004 0.005 0.008 0.011 0.016 0.022 0.032
               0.045 0.064 0.09 0.128 0.181 0.256 0.362 0.512 0.724 1.024
               1.448 2.048 2.896 4.096 5.792 8.192 11.585 16.384 23.17 32.768
               46.34 65.536);
my @failures = qw(connect invalid no_live reset status timeout);

my %counted = (
    app    => { reason => 'split', variants => [ qw(stable canary) ] },
    $long  => { reason => 'split', variants => [ $variant, $other ] },
    chance => { reason => 'random', variants => [ qw(off on) ] },
);

my %expected;

for my $release (keys %counted) {
    for my $variant (@{ $counted{$release}{variants} }) {
        my $of = "release=$release,variant=$variant";
        my $reason = $counted{$release}{reason};

        $expected{nginx_gray_requests_total}
                 {"$_,reason=$reason,$of"} = 0 for @codes;
        $expected{nginx_gray_requests_absent_total}{"cause=$_,$of"} = 0
            for qw(cached local closed);
        $expected{nginx_gray_upstream_failures_total}{"kind=$_,$of"} = 0
            for @failures;
        $expected{"nginx_gray_$_"}{$of} = 0
            for qw(fallbacks_total streams_total received_bytes_total
                   sent_bytes_total live_requests);

        for my $h (qw(request_duration response_header)) {
            $expected{"nginx_gray_${h}_seconds_bucket"}{"le=$_,$of"} = 0
                for @edges;
            $expected{"nginx_gray_${h}_seconds_sum"}{$of} = 0;
            $expected{"nginx_gray_${h}_seconds_count"}{$of} = 0;
        }
    }
}

for my $release (keys %counted, 'quiet') {
    $expected{"nginx_gray_$_"}{"release=$release"} = 1
        for qw(enabled revision);
    $expected{"nginx_gray_$_"}{"release=$release"} = 0
        for qw(degraded_total limited_total);
}

$expected{nginx_gray_rule_matches_total} = {
    'release=app,rule=testers' => 0, 'release=app,rule=1' => 0,
    "release=$long,rule=$rule" => 0, 'release=chance,rule=slow' => 0,
};
$expected{nginx_gray_weight_ratio} = {
    'release=app,variant=stable'      => 0.8,
    'release=app,variant=canary'      => 0.2,
    "release=$long,variant=$variant"  => 0.999999,
    "release=$long,variant=$other"    => '0.000001',
    'release=chance,variant=off'      => 0.5,
    'release=chance,variant=on'       => 0.5,
    'release=quiet,variant=stable'    => 0.875,
    'release=quiet,variant=canary'    => 0.125,
};
$expected{nginx_gray_build_info} = {
    'nginx=' . Test::Gray->version . ',version='
    . $t->api('GET', '/gray/')->{json}{version} => 1,
};

for (@{ $t->api('GET', '/gray/status')->{json}{zones} }) {
    $expected{nginx_gray_zone_bytes}{"kind=total,zone=$_->{zone}"} =
        $_->{size};
    $expected{nginx_gray_zone_bytes}{"kind=free,zone=$_->{zone}"} = $_->{free};
}

ok($expected{nginx_gray_zone_bytes}{qq(kind=free,zone=z"\\\nq)},
   'a zone whose name has to be escaped');

my %format = (
    'the text format' => [],
    OpenMetrics       => [ Accept => accept_openmetrics() ],
);

for my $format (sort keys %format) {
    my $m = eval { scrape($t, '/metrics', @{ $format{$format} }) } || {};

    is($@, '', "$format is well-formed");
    is_deeply($m, \%expected, "$format: all with zeros");
    is_deeply(scrape($t, $_, @{ $format{$format} }), \%expected,
              "$format: $_")
        for qw(/gray/metrics /reading/metrics /remote /metrics/any /outer
               /put /post /if /if?u=1 /x/any /page /rewrite /metrics?a=b);
}

my %types = (
    (map { ("nginx_gray_$_" => 'gauge') }
     qw(live_requests weight_ratio enabled revision zone_bytes rollout_state
        rollout_step rollout_pending guard_value guard_limit
        guard_evidence guard_evidence_needed guard_info
        guard_info_needed)),
    (map { ("nginx_gray_$_" => 'counter') }
     qw(requests requests_absent upstream_failures fallbacks streams
        received_bytes sent_bytes rule_matches degraded limited
        rollout_transitions)),
    (map { ("nginx_gray_$_" => 'histogram') }
     qw(request_duration_seconds response_header_seconds)),
);

for my $format (sort keys %format) {
    my $open = $format eq 'OpenMetrics';
    my $body = $t->get('/metrics', @{ $format{$format} })->{body};
    my $families = Test::Gray::Exposition::families($body, $open);

    my %expected = map {
        ($types{$_} eq 'counter' && !$open ? "${_}_total" : $_, $types{$_})
    } keys %types;

    $expected{ $open ? 'nginx_gray_build' : 'nginx_gray_build_info' } =
        $open ? 'info' : 'gauge';

    is_deeply({ map { ($_, $families->{$_}{type}) } keys %$families },
              \%expected, "$format: families and their types");
    is_deeply([ grep { $families->{$_}{help} !~ /^[A-Z].*\.\z/ }
                keys %$families ], [], "$format: what they are");
}


# -- which format, by Accept

my $prometheus = 'application/openmetrics-text;version=1.0.0,'
                 . 'application/openmetrics-text;version=0.0.1;q=0.75,'
                 . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
my $prometheus3 = 'application/openmetrics-text;version=1.0.0;'
                  . 'escaping=allow-utf-8;q=0.6,'
                  . 'application/openmetrics-text;version=0.0.1;q=0.5,'
                  . 'text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,'
                  . 'text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
my $protobuf = 'application/vnd.google.protobuf;proto=io.prometheus.client.'
               . 'MetricFamily;encoding=delimited,' . $prometheus;
my $om = 'application/openmetrics-text';

my @accept = (
    [ $prometheus, 1 ],
    [ $prometheus3, 1 ],
    [ $protobuf, 1 ],
    [ undef, 0 ],
    [ '', 0 ],
    [ '*/*', 0 ],
    [ 'text/*', 0 ],
    [ 'application/*', 1 ],
    [ 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 0 ],
    [ 'application/json', 0 ],
    [ $om, 1 ],
    [ 'Application/OpenMetrics-Text ; Version="1.0.0" ; Q=0.1', 1 ],
    [ "$om;version=0.0.1", 0 ],
    [ "$om;version=2.0.0", 0 ],
    [ "$om;version=0.0.1,$om;q=0.1", 1 ],
    [ "$om;charset=utf-8", 1 ],
    [ "$om;q=0", 0 ],
    [ "$om;q=0.000", 0 ],
    [ "$om;q=0,*/*", 0 ],
    [ "$om;q=0.001", 1 ],
    [ "$om;q=0.001,text/plain;q=0", 1 ],
    [ "text/plain;q=0.5,$om;q=0.49", 0 ],
    [ "text/plain;q=0.49,$om;q=0.5", 1 ],
    [ "text/plain,$om", 0 ],
    [ "$om,text/plain", 0 ],
    [ "$om,*/*", 1 ],
    [ "$om;q=0.5,*/*", 0 ],
    [ "$om;q=0.5,*/*;q=0.6", 0 ],
    [ "$om;q=0.5,text/*;q=0.4,*/*", 1 ],
    [ "text/plain;version=0.0.4;q=0.4,text/plain;q=0.9,$om;q=0.5", 1 ],
    [ "text/plain;q=0.4,*/*;q=0.5,$om;q=0.45", 1 ],
    [ "$om;q=1.5", 0 ],
    [ "$om;q=x", 0 ],
    [ "$om;q=", 0 ],
    [ "$om;q", 0 ],
    [ "$om;q=-1", 0 ],
    [ "$om;q=1.0001", 0 ],
    [ "$om;q=0.00049", 0 ],
    [ ", ,$om,;,", 1 ],
    [ "a/b;x=\",$om\"", 0 ],
    [ "a/b;x=\"\\\",$om", 0 ],
    [ "a/b;x=\"\\\\\",$om", 1 ],
    [ "x$om", 0 ],
    [ "${om}x", 0 ],
    [ 'application', 0 ],
    [ ';' x 5000, 0 ],
    [ "$om;" . 'a=b;' x 1000, 1 ],
);

for (@accept) {
    my ($accept, $open) = @$_;
    my $name = defined $accept ? '"' . substr($accept, 0, 60) . '"' : 'none';
    my $answer = $t->get('/metrics', Accept => $accept);

    eval { scrape($answer) } or diag($@);
    is($answer->{headers}{'content-type'},
       $open ? "$om; version=1.0.0; charset=utf-8"
             : 'text/plain; version=0.0.4; charset=utf-8', "Accept $name");
}

is($t->get('/metrics', Accept => 'text/plain;q=0.5', Accept => $om)
     ->{headers}{'content-type'}, "$om; version=1.0.0; charset=utf-8",
   'Accept, twice');


# -- the response

for my $path ('/metrics', '/gray/metrics') {
    my $get = $t->get($path);
    my $head = $t->request('HEAD', $path);
    my $h = $get->{headers};

    is($h->{'content-length'}, length $get->{body}, "$path: length");
    is($h->{vary}, 'Accept', "$path: Vary");
    is($h->{'cache-control'}, 'no-store', "$path: Cache-Control");
    is($head->{status}, 200, "$path: HEAD");
    is($head->{body}, '', "$path: HEAD has no body");

    delete $_->{headers}{date} for $get, $head;
    is_deeply($head->{headers}, $h, "$path: and the headers of GET");
}

for my $format (sort keys %format) {
    my $zip = $t->get('/zip', 'Accept-Encoding' => 'gzip',
                      @{ $format{$format} });

    is($zip->{headers}{'content-encoding'}, 'gzip', "$format, gzip");

    require IO::Uncompress::Gunzip;
    my $text = '';
    IO::Uncompress::Gunzip::gunzip(\$zip->{body}, \$text);

    is($text, $t->get('/zip', @{ $format{$format} })->{body},
       "$format, gzip: the same");
}


# -- methods

for (qw(POST PUT PATCH DELETE OPTIONS)) {
    my $answer = $t->api($_, '/metrics', 'x');

    is($answer->{status}, 405, $_);
    is($answer->{headers}{allow}, 'GET, HEAD', "$_: Allow");
    is($answer->{headers}{'content-type'}, 'application/problem+json',
       "$_: problem");
    is($t->api($_, '/gray/metrics', 'x')->{headers}{allow}, 'GET, HEAD',
       "$_, below an admin location")
        unless $_ eq 'OPTIONS';
}

is($t->api('POST', '/post', 'x')->{status}, 403, 'limit_except denies');
is($t->api('POST', '/put', 'x')->{status}, 405, 'limit_except lets in');
is($t->get('/outer/inner')->{body}, 'inner', 'a location inside has nothing');
is($t->get('/gray/metrics/x')->{status}, 404, 'a path that there is not');
is($t->get('/gray/metrics?window=1')->{status}, 400, 'an unknown argument');


# -- who gets in

my @refused = (
    [ 'X-Forwarded-For' => '192.0.2.1', qr/forwarded by a proxy/, 0 ],
    [ Host => 'evil.test', qr/no name of the server/, 1 ],
    [ Origin => 'http://evil.test', qr/another origin/, 1 ],
    [ 'Sec-Fetch-Site' => 'cross-site', qr/another site/, 1 ],
);

for (@refused) {
    my ($header, $value, $why, $also) = @$_;

    for my $path (qw(/metrics /alias /post /if /if?u=1 /page /rewrite
                     /gray/metrics), $also ? qw(/remote /both) : ())
    {
        my $answer = $t->api('GET', $path, undef, $header => $value);

        is($answer->{status}, 403, "$header $value, $path");
        is($answer->{json}{status}, 403, "$header $value, $path: problem");
        like($answer->{json}{detail}, $why, "$header $value, $path: why");
    }

    is($t->api('POST', '/metrics', 'x', $header => $value)->{status}, 403,
       "$header $value, POST");
}

for my $path (qw(/remote /both)) {
    is($t->get($path, 'X-Forwarded-For' => '192.0.2.1')->{status}, 200,
       "remote, $path");
}

is($t->get('/metrics', Host => 'metrics.test')->{status}, 200,
   'a name of the server');
is($t->get('/denied')->{status}, 403, 'deny');


# -- what is counted

# a response is there before it is counted

sub becomes {
    my ($number, $name, @of) = @_;

    my $m;

    ok(wait_until(sub {
        $m = scrape($t, '/alias');
        return (total($m, @of) || 0) == $number;
    }), $name) or diag((total($m, @of) || 0) . ' of ' . join(' ', @of));

    return $m;
}

my @users = map { "user-$_" } 1 .. 40;
my %variant = ($t->port('v1') => 'stable', $t->port('v2') => 'canary');
my %got = (stable => 0, canary => 0);

$got{ $variant{ $t->get("/?u=$_")->{body} } }++ for @users;

cmp_ok($got{canary}, '>', 0, 'some get the canary');

$t->get($_, 'X-Canary' => 'y') for qw(/302 /404 /404 /500 /500 /500);
$t->get('/', 'X-Canary' => 'n');
$t->get('/long?rule=y');
$t->get('/quiet?u=1');
$t->get('/chance') for 1 .. 10;

my @total = ('nginx_gray_requests_total', release => 'app');

becomes(6, 'requests by a rule', @total, reason => 'rule',
        variant => 'canary');
becomes(1, 'another rule', @total, reason => 'rule', variant => 'stable');
becomes(1, 'the release with a long name', 'nginx_gray_requests_total',
        release => $long);
becomes(10, 'a switch', 'nginx_gray_requests_total', release => 'chance');

for (sort keys %got) {
    becomes($got{$_}, "who was drawn to $_", @total, reason => 'split',
            variant => $_, code => '2xx');
}

my $m = scrape($t, '/alias', Accept => accept_openmetrics());

is(total($m, @total, reason => 'rule', code => "${_}xx"), $_ - 2,
   "code ${_}xx") for 3, 4, 5;
is(total($m, @total, variant => 'canary', reason => 'rule', code => '2xx'), 0,
   'another class of a reason that was seen');
is(total($m, @total, reason => 'disabled'), undef, 'a reason that was not');
is(total($m, 'nginx_gray_rule_matches_total', release => 'app',
         rule => 'testers'), 6, 'matches of a rule');
is(total($m, 'nginx_gray_rule_matches_total', release => 'app', rule => 1), 1,
   'of one without a name');
is(total($m, 'nginx_gray_request_duration_seconds_count', release => 'app',
         variant => 'canary'), 6 + $got{canary}, 'times');
is(total($m, 'nginx_gray_response_header_seconds_count', release => 'app',
         variant => 'canary'), 6 + $got{canary}, 'times of headers');
cmp_ok(total($m, "nginx_gray_${_}_bytes_total", release => 'app'), '>',
       20 * 47, "bytes $_") for qw(received sent);
is(total($m, 'nginx_gray_weight_ratio', release => 'quiet'), 1,
   'stats=off: weights');
is_deeply([ grep { /requests|duration|header|bytes_total|rule/
                   && series($m, $_, release => 'quiet') } keys %$m ], [],
          'stats=off: nothing else');

# a match that is given up, of which a rule says that it does not hold

$t->get('/chance?x=' . 'a' x 5000 . '!');
$m = becomes(1, 'a match that took too long', 'nginx_gray_limited_total',
             release => 'chance');

is(total($m, 'nginx_gray_limited_total', release => 'app'), 0,
   'and none of another release');

# requests that are under way

my @live = ('nginx_gray_live_requests', release => 'app');
my @waiting = map { $t->http->connect } 1 .. 3;

$_->send("GET /wait HTTP/1.1\r\nHost: a\r\nX-Canary: y\r\n\r\n")
    for @waiting;

$m = becomes(3, 'requests under way', @live, variant => 'canary');

is(total($m, @live, variant => 'stable'), 0, 'and none of the baseline');
is(total($m, @total), 47, 'which are not counted yet');

$t->write_file('answer', '');

is(scalar(grep { $_->receive->{body} eq 'waited' } @waiting), 3, 'answered');
becomes(0, 'none is under way', @live);
$m = becomes(50, 'and they are counted', @total);

# as ingress-nginx has it

my @ingress = ('nginx_ingress_controller_requests', ingress => 'app');

is(total($m, @ingress, canary => 'canary', service => 'canary',
         status => '200'), $got{canary} + 3, 'alias: 200');
is(total($m, @ingress, canary => 'canary', status => $_ * 100), $_ - 2,
   "alias: ${_}00") for 3, 4, 5;
is(total($m, @ingress, canary => '', service => 'stable', status => '200'),
   $got{stable} + 1, 'alias: the baseline is no canary');
is(total($m, @ingress), 50, 'alias: all');
is(total($m, 'nginx_ingress_controller_response_duration_seconds_count',
         ingress => 'app', canary => 'canary'), 9 + $got{canary},
   'alias: times');
is_deeply([ grep { /ingress/ } keys %{ scrape($t, $_) } ], [],
          "no alias, $_") for qw(/metrics /gray/metrics);


# -- a document that changes

sub weights {
    my $m = scrape($t, '/metrics');
    my $of = $m->{nginx_gray_weight_ratio};

    return { map { /variant=(.*)/; ($1, $of->{$_}) }
             series($m, 'nginx_gray_weight_ratio', release => 'app') };
}

is_deeply(weights(), { stable => 0.8, canary => 0.2 }, 'weights');

patch($t, 'app', { variants => { canary => { weight => 33.3333 } } });
is_deeply(weights(), { stable => 0.666667, canary => 0.333333 },
          'another weight');
is(total(scrape($t, '/metrics'), 'nginx_gray_revision', release => 'app'), 2,
   'revision');

patch($t, 'app', { enabled => JSON::PP::false() });
$t->get('/?u=1');

$m = becomes(1, 'a reason that is new', @total, reason => 'disabled');

is(total($m, @total, reason => 'disabled', code => '5xx'), 0,
   'with all its classes');
is(total($m, 'nginx_gray_enabled', release => 'app'), 0, 'disabled');
is_deeply(weights(), { stable => 0.666667, canary => 0.333333 },
          'weights stay');

# a variant goes, and what was counted for it stays; there is memory for one
# variant more, and who comes then gets that of canary, or none

sub arms {
    my (%weight) = @_;

    patch($t, 'app', { variants => {
        map { ($_, defined $weight{$_} ? { upstream => 'v2',
                                           weight => $weight{$_} } : undef) }
        keys %weight } });

    return;
}


sub counted {
    my $m = scrape($t, '/metrics');
    my %variant = map { /variant=(\w+)/; ($1 => 1) }
                  series($m, 'nginx_gray_requests_total', release => 'app');

    return sort keys %variant;
}


patch($t, 'app', { enabled => JSON::PP::true(), rules => [] });
arms(canary => undef, second => 10);

is_deeply(weights(), { stable => 0.9, second => 0.1 }, 'another variant');
is_deeply([ counted() ], [ qw(canary second stable) ],
          'one that is no more is served');
is(total(scrape($t, '/alias'), @total, variant => 'canary'),
   9 + $got{canary}, 'with what was counted for it');
is(total(scrape($t, '/alias'), @ingress, service => 'canary',
         canary => 'canary'), 9 + $got{canary}, 'and is no baseline');

arms(third => 40, fourth => 50);

is_deeply(weights(), { stable => 0, second => 0.1, third => 0.4,
                       fourth => 0.5 }, 'more than there is memory for');
is(scalar(grep { $_ eq '_other' } counted()), 0,
   '_other is not there before its time');

# what canary had may be gone by now, or later

sub others {
    my $m = scrape($t, '/metrics');

    return total($m, @total) - (total($m, @total, variant => 'canary') || 0);
}


my $before = others();

$t->get("/?u=$_") for @users;

ok(wait_until(sub { others() == $before + @users }), 'all are counted')
    or diag(others() . " after $before");

$m = scrape($t, '/alias');

cmp_ok(total($m, @total, variant => '_other') || 0, '>', 0,
       'by the name of _other');

$t->reload;
is_deeply(eval { scrape($t, '/alias')->{nginx_gray_requests_total} },
          $m->{nginx_gray_requests_total}, 'a reload changes nothing');

$t->done;

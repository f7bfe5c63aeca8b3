#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Every configuration in examples/ is accepted, and each of the other files
# there is used by one of them; plans of rollouts are merged into the document
# of an nginx that runs.

use strict;
use warnings;

use File::Copy;
use File::Spec;
use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $examples = "$FindBin::Bin/../examples";

# those for pipelines are tried out by rollout_pipeline.t

my @files = map { s{.*/}{}r } grep { -f } glob "$examples/*";
my @configurations = grep { /\.conf$/ } @files;

ok(@configurations > 0, 'there are examples');

my $t = Test::Gray->new;
my %used;

copy("$examples/$_", $t->dir . "/$_") or die "$_: $!\n" for @files;
mkdir $t->dir . '/logs';

for my $name (@configurations) {
    my $text = slurp("$examples/$name");

    for my $directive ($text =~ /^\s*((?:document|include)\s.*);/mg) {
        $used{ (split ' ', $directive)[1] } = 1;
    }

    # the module is that of this build

    ok($text =~ s{^load_module modules/ngx_http_gray_module\.so;\n}{}m,
       "$name loads the module");
    unlike($text, qr/\t/, "$name has no tabs");
    like($text, qr/\bgray_release\b/, "$name declares a release");

    # newer versions say it otherwise, and warn of this

    $text =~ s/(listen \d+) http2;/$1; http2 on;/g
        if $t->version_at_least('1.25.1');

    my ($status, $said) = $t->test_config($text);

    is($status, 0, "$name is accepted") or diag($said);

    # a list is put once nginx runs

    $said =~ s/^.*\[warn\] gray: .* no list "vip"; .*\n//m
        if $name eq 'metadata.conf';

    unlike($said, qr/\[(?:warn|error|crit|alert|emerg)\]/,
           "$name is accepted without a warning");
}

# those for Prometheus name each other

$used{'watch-prometheus.yml'} = 1;
$used{'watch-rules.yml'} = slurp("$examples/watch-prometheus.yml")
                           =~ /^rule_files:\n  - watch-rules\.yml$/m;

# plans: each is accepted, says nothing twice, and can be started

my $text = slurp("$examples/rollout.conf");

$text =~ s/^(?:load_module|events) .*\n//mg;
$text =~ s/listen 8080;/listen 127.0.0.1:%%PORT%%;/;
$text =~ s/listen 127\.0\.0\.1:9080;/listen 127.0.0.1:%%PORT_admin%%;/;
$text =~ s/gray_zone gray 8m;/gray_zone gray 8m state=state;/;

$t->config($text)->start;

my $admin = $t->http('admin');
my $release = '/gray/releases/checkout';
my $declared = $admin->api(GET => $release)->{json};

for my $name (grep { /^rollout-.*\.json$/ } @files) {
    my $merged = $admin->api(PATCH => $release, slurp("$examples/$name"));

    is($merged->{status}, 200, "$name is accepted") or diag($merged->{body});

    my $given = decode_json(slurp("$examples/$name"))->{rollout};
    my $served = $merged->{json}{rollout};

    is_deeply({ map { $_ => $served->{$_} } keys %$given }, $given,
              "$name is what is served, to the letter");
    is_deeply($merged->{json}{rules}, $declared->{rules},
              "$name leaves the testers' rule");

    my $started = $admin->api(POST => "$release/rollout/start");

    is($started->{status}, 200, "$name can be started")
        or diag($started->{body});
    is($admin->api(POST => "$release/rollout/abort")->{status}, 200,
       "$name can be aborted");

    $admin->api(DELETE => $release);
    $used{$name} = slurp("$examples/README.md") =~ /\(\Q$name\E\)/;
}

$t->stop;

for my $name (grep { !/\.conf$/ && $_ ne 'README.md' } @files) {
    ok($used{$name}, "$name is used");
}

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" } File::Spec->path;

    skip 'no promtool', 1 unless $promtool;

    # it checks the rules that the configuration names, too

    my ($status, undef, $said) = capture($promtool, 'check', 'config',
                                         $t->dir . '/watch-prometheus.yml');

    is($status, 0, 'Prometheus accepts its configuration') or diag($said);
}

$t->done;

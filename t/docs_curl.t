#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Every block of commands with curl in README.md and docs/ is run, in order,
# against the smallest configuration, which is that of the README.  Each file
# begins with an nginx that was just started.  The line behind a curl says
# its status, "# 404"; where it does not, that is 200.
#
# The documents and the buckets of docs/document.md are tried out, too.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $top = "$FindBin::Bin/..";
my @files = ("$top/README.md", sort glob "$top/docs/*.md");

my $curl = (grep { -x } map { "$_/curl" } split /:/, $ENV{PATH})[0];
my $smallest = (blocks(slurp("$top/README.md"), 'nginx'))[0];

plan(skip_all => 'there is no curl') unless $curl;
plan(skip_all => 'this curl has no --json')
    if (capture($curl, '--help', 'all'))[1] !~ /--json/;

like($smallest, qr/gray_admin/, 'there is a smallest configuration');

for my $file (@files) {
    my $text = slurp($file);
    my @blocks = grep { /^curl /m } blocks($text, 'sh');
    my $name = $file =~ s{.*/}{}r;

    is(scalar(() = $text =~ /^\s*curl /mg),
       scalar(map { /^curl /mg } @blocks),
       "$name: each curl is in a block that is run");

    next unless @blocks;

    my $t = start();

    run($t, $name, $_) for @blocks;
}


# the document of docs/document.md is one, and so is each of its parts

my $text = slurp("$top/docs/document.md");
my $t = start();
my ($document, @parts) = map { eval { decode_json($_) } || fail($@) }
                         blocks($text, 'json');

my $release = '/gray/releases/checkout';

delete $document->{revision};

my $answer = $t->http('admin')->api('PUT', $release, $document);

is($answer->{status}, 200, 'the document') or diag($answer->{body});
is_deeply($answer->{json}{rules}, $document->{rules}, 'its rules');
is_deeply($answer->{json}{allocation}, $document->{allocation},
          'its allocation');

# a plan that is all defaults, but for what the text says

my ($planned) = grep { $_->{rollout} } @parts;
my ($merged) = $text =~ /^`(\{"rollout": .*\})`\nwas merged/m;

$answer = $t->http('admin')->api('PATCH', $release, $merged);

ok($planned && $merged, 'there is a plan');
is_deeply($answer->{json}{rollout}, $planned->{rollout}, 'it is that')
    or diag($answer->{body});

my ($salt, $rows) = ('', 0);

while ($text =~ /^\| `([\w-]+)` \| `[0-9a-f]{16}` \| `([^`]+)`(.*?) \| (\d+)/mg)
{
    my ($new, $key, $times, $bucket) = ($1, $2, $3, $4);

    $key x= 1000 if $times =~ /1,000 times/;
    $rows++;

    $t->http('admin')->api('PATCH', $release, { salt => $salt = $new })
        if $salt ne $new;

    $answer = $t->http('admin')->api('POST', "$release/explain",
                                     qq({"\$cookie_uid":"$key"}));

    is($answer->{json}{bucket}, $bucket, "bucket of a key with salt $salt");
}

cmp_ok($rows, '>', 5, 'there are vectors');

$t->done;


# -- parts

# fenced blocks of a kind

sub blocks {
    my ($text, $kind) = @_;

    return $text =~ /^```\Q$kind\E\n(.*?)^```$/msg;
}


sub start {
    my $t = Test::Gray->new;
    my $text = $smallest;

    for (qw(load_module events)) {
        $text =~ s/^$_ .*\n//m or die "no $_ in the smallest configuration\n";
    }

    my %port = (8080 => 'front', 8081 => 'v1', 8082 => 'v2', 9080 => 'admin');

    for my $port (keys %port) {
        $text =~ s/\b$port\b/%%PORT_$port{$port}%%/g
            or die "no port $port in the smallest configuration\n";
    }

    $text =~ s/ state=[^ ;]+/ state=state/
        or die "no state in the smallest configuration\n";

    # the backends, one of which has the bug of docs/rollouts.md, and the unix
    # socket of docs/operations.md

    $text =~ s/^(\s*)(listen 127\.0\.0\.1:%%PORT_admin%%;)/
               $1$2\n$1listen unix:%%DIR%%\/gray.sock;/m;
    $text =~ s/^\}\Z/<<"END"/me;
    server { listen 127.0.0.1:%%PORT_v1%%; return 200 "v1"; }
    server {
        listen 127.0.0.1:%%PORT_v2%%;
        location /     { return 200 "v2"; }
        location /pay  { return 500; }
    }
}
END

    return $t->config($text)->start;
}


sub run {
    my ($t, $name, $block) = @_;

    my @wanted;

    # a command may go on over lines, and between quotes

    my @lines = split /\n/, $block;

    while (defined(my $line = shift @lines)) {

        if ($line =~ /^curl /) {
            push @wanted, { command => $line, status => 200 };

        } elsif ($line =~ /^# (\d{3})$/) {
            $wanted[-1]{status} = $1;
        }
    }

    my $script = $t->write_file('block.sh', <<"END" . addresses($t, $block));
: >statuses
curl() { command curl -s -w '%{stderr}%{http_code}\\n' "\$@" 2>>statuses; }
END

    my ($status, $out, $err) = capture('/bin/sh', '-e', '-c',
                                       "cd '" . $t->dir . "' && . ./block.sh");
    my @got = split /\n/, $t->read_file('statuses');

    is($status, 0, "$name: a block of commands") or diag("$block\n$err");
    is(scalar @got, scalar @wanted, "$name: each curl was run");

    for my $i (0 .. $#wanted) {
        my ($command, $wanted) = @{ $wanted[$i] }{qw(command status)};

        is($got[$i], $wanted, "$name: $command") or diag($out);
    }
}


# the ports and paths of this nginx

sub addresses {
    my ($t, $block) = @_;

    my $dir = $t->dir;

    $block =~ s/127\.0\.0\.1:8080/'127.0.0.1:' . $t->port('front')/ge;
    $block =~ s/127\.0\.0\.1:9080/'127.0.0.1:' . $t->port('admin')/ge;
    $block =~ s{/run/gray\.sock}{$dir/gray.sock}g;

    return $block;
}

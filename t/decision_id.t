#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The id of who has no key: drawn from all there is, by each worker for
# itself; one for cookies whose names differ in case only; and the one that
# is sent is the one that decided, also where a filter ends the response.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

mkdir $t->dir . '/html';
$t->write_file('html/page', 'page');

$t->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 2m;

    gray_release sw {
        zone gray;
        cookie gray_id;
        variant off;
        variant on weight=50%;
    }

    gray_release upper {
        zone gray;
        cookie UID;
        variant off;
        variant on weight=50%;
    }

    gray_release lower {
        zone gray;
        cookie uid;
        variant off;
        variant on weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        root %%DIR%%/html;

        location /id   { return 200 "$pid $gray_sw"; }

        location /case {
            set $upper "$gray_upper,$gray_upper_bucket";
            return 200 "$upper $gray_lower,$gray_lower_bucket";
        }

        # what is there already when the filter asks for another response

        location /page {
            set $first "$gray_sw,$gray_sw_bucket";
            add_header X-First $first always;
            add_header X-D "$gray_sw,$gray_sw_bucket" always;
        }
    }
}
END


# what stands in front of ";" in all cookies of a response

sub cookies {
    my ($response) = @_;

    my $cookies = $response->{headers}{'set-cookie'};

    return map { /^([^;]+)/ }
           ref $cookies ? @$cookies : defined $cookies ? $cookies : ();
}


# -- ids of two workers

my (%pids, %ids, @seen);
my $count = 200;

for my $response ($t->many($count, sub { '/id' }, per_connection => 4)) {
    my ($pid) = split ' ', $response->{body};
    my ($id) = map { /^gray_id=([0-9a-f]{32})$/ } cookies($response);

    $pids{$pid} = 1;

    next unless defined $id;

    $ids{$id} = 1;

    my @bytes = unpack 'C*', pack 'H*', $id;
    $seen[$_]{$bytes[$_]} = 1 for 0 .. $#bytes;
}

is(scalar keys %pids, 2, 'both workers made some');
is(scalar keys %ids, $count, "$count ids, no two are the same");
is(scalar @seen, 16, 'of 16 bytes');

# 139 of 256 values are to be expected

cmp_ok(scalar keys %{ $seen[$_] }, '>', 50, "byte $_ takes many values")
    for 0 .. $#seen;

# -- cookies whose names differ in case

my ($ids, $moved, %variants) = (0, 0);

for (1 .. 20) {
    my $response = $t->get('/case');
    my @cookies = cookies($response);
    my ($upper, $lower) = split ' ', $response->{body};

    $ids++ if @cookies == 1 && $cookies[0] =~ /^uid=[0-9a-f]{32}$/i;
    $moved++ if $t->get('/case', Cookie => join '; ', @cookies)->{body}
                ne $response->{body};
    $variants{$response->{body} =~ s/,\d+//gr} = 1;
}

is($ids, 20, 'names that differ in case: one cookie');
is($moved, 0, '... and both releases are sticky');
cmp_ok(scalar keys %variants, '>', 1, '... in several variants');

# -- a filter that ends the response, and lets nginx make another one

my @past = ('If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:01 GMT');
my ($wrong, %drawn) = (0);

for (1 .. 20) {
    my $response = $t->get('/page', @past);
    my @cookies = cookies($response);
    my $first = $response->{headers}{'x-first'} || '';
    my $again = $t->get('/page', @past, Cookie => $cookies[0] || '');

    if ($response->{status} != 412
        || @cookies != 1
        || ($response->{headers}{'x-d'} || '') ne $first
        || ($again->{headers}{'x-d'} || '') ne $first
        || cookies($again))
    {
        diag(explain($response)) unless $wrong++;
    }

    $drawn{(split /,/, $first)[0] || ''} = 1;
}

is($wrong, 0, 'a filter ends the response: one cookie, and sticky');
is(join(' ', sort keys %drawn), 'off on', '... both variants');

$t->done;

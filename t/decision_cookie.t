#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Who has no key gets an id in a cookie, and is sticky from the response that
# brings it on: whatever asks first, and whatever the response is.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

mkdir $t->dir . '/html';
$t->write_file('html/page', 'page');
$t->write_file('html/flush', '<!--#include virtual="/slow" wait="yes" -->'
               . '<!--#echo var="gray_app_reason" -->');

$t->config(<<'END')->start;
http {
    gray_zone gray 2m;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release app {
        zone gray;
        hash $arg_uid;
        cookie gray_uid;
        variant v1 v1;
        variant v2 v2 weight=50%;
        match v2 $arg_rule exists;
    }

    # the same cookie, and one with everything

    gray_release same {
        zone gray;
        cookie gray_uid;
        variant off;
        variant on weight=50%;
    }

    gray_release other {
        zone gray;
        cookie other_id expires=12h path=/x domain=example.com secure httponly
               samesite=lax;
        variant off;
        variant on weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        error_page 404 /not_found;

        location /proxy  { proxy_pass http://app; }
        location /return { return 200 $gray_app; }
        location /other  { return 200 "$gray_other,$gray_other_bucket"; }

        location /hidden {
            proxy_hide_header Set-Cookie;
            proxy_pass http://app;
        }

        # what asks first is a filter of headers

        location /header {
            add_header X-Variant $gray_app;
            return 200 header;
        }

        location /page {
            add_header X-Variant $gray_app;
        }

        location /both {
            set $same "$gray_same,$gray_same_bucket";
            return 200 "$gray_app,$gray_app_bucket,$same";
        }

        location /missing   { return 404; }
        location /not_found { proxy_pass http://app; }
        location /redirect  { if ($gray_app) { return 302 /elsewhere; } }

        location /error {
            add_header X-Variant $gray_app always;
            return 503;
        }

        location /static/ {
            add_header X-Variant $gray_app;
            alias %%DIR%%/html/;
        }

        # what asks first is the body, whose header is on its way

        location /flush { ssi on; ssi_types *; }
        location /slow  { proxy_pass http://127.0.0.1:%%PORT_v1%%; }

        location /sub {
            ssi on;
            ssi_types *;
            add_header X-Variant $gray_app;
            proxy_pass http://127.0.0.1:%%PORT_v1%%/include;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        add_header Set-Cookie "theirs=1";
        location /        { return 200 v1; }
        location /include { return 200 '<!--#include virtual="/proxy" -->'; }
    }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        add_header Set-Cookie "theirs=1";
        return 200 v2;
    }
}
END


# the cookies of a response that are ours

sub minted {
    my ($response, $name) = @_;

    my $cookies = $response->{headers}{'set-cookie'};

    return grep { /^(?:$name)=/ }
           ref $cookies ? @$cookies : defined $cookies ? $cookies : ();
}


sub variant {
    my ($response) = @_;

    return $response->{headers}{'x-variant'} || $response->{body};
}


# sent once, another one each time; with it the client gets the same again

for my $path (qw(/proxy /return /header /page /missing /error /sub)) {
    my ($wrong, %variants, %ids) = (0);

    for (1 .. 20) {
        my $first = $t->get($path);
        my @cookies = minted($first, 'gray_uid');
        my ($id) = ($cookies[0] || '') =~ /^gray_uid=([0-9a-f]{32}); Path=\/$/;

        if (@cookies != 1 || !$id) {
            diag(explain($first)) unless $wrong++;
            next;
        }

        my $again = $t->get($path, Cookie => "a=b; gray_uid=$id");

        $wrong++ if minted($again, 'gray_uid')
                    || variant($again) ne variant($first)
                    || $again->{status} != $first->{status};
        $variants{variant($first)} = 1;
        $ids{$id} = 1;
    }

    is($wrong, 0, "$path: one cookie, and sticky");
    is(join(' ', sort keys %variants), 'v1 v2', "$path: both variants");
    is(scalar keys %ids, 20, "$path: another id each time");
}

# the response of a variant keeps its own cookies

is(scalar minted($t->get('/proxy'), 'theirs'), 1, "the upstream's cookie");
is(scalar minted($t->get('/hidden'), 'gray_uid'), 1, 'not that of an upstream');

# responses without a body

is(scalar minted($t->request('HEAD', '/proxy'), 'gray_uid'), 1, 'HEAD');
is(scalar minted($t->get('/redirect'), 'gray_uid'), 1, 'redirect');

my $modified = $t->get('/static/page')->{headers}{'last-modified'};
my $response = $t->get('/static/page', 'If-Modified-Since' => $modified);

is($response->{status}, 304, 'not modified');
is(scalar minted($response, 'gray_uid'), 1, 'not modified: a cookie');

# who has a key, or needs none, gets no cookie

for my $case ([ '/return?uid=1', 'a key of another kind' ],
              [ '/return?rule=1', 'a rule' ],
              [ '/return?uid=1', 'both', Cookie => 'gray_uid=x' ],
              [ '/return', 'any value', Cookie => 'gray_uid=anything' ],
              [ '/slow', 'not decided' ])
{
    my ($path, $title, @headers) = @$case;

    is(scalar minted($t->get($path, @headers), 'gray_uid'), 0,
       "no cookie: $title");
}

is(scalar minted($t->get('/return', Cookie => 'gray_uid='), 'gray_uid'), 1,
   'an empty cookie is none');

# two releases with one cookie

$response = $t->get('/both');

my @cookies = minted($response, 'gray_uid');
my ($id) = $cookies[0] =~ /=(\w+)/;

is(scalar @cookies, 1, 'two releases, one cookie');
is($t->get('/both', Cookie => "gray_uid=$id")->{body}, $response->{body},
   'both by the same id');

# attributes

$response = $t->get('/other');

my ($cookie) = minted($response, 'other_id');

like($cookie, qr{^other_id=[0-9a-f]{32};[ ]Path=/x;[ ]Domain=example\.com;
                 [ ]Max-Age=43200;[ ]Secure;[ ]HttpOnly;[ ]SameSite=lax$}x,
     'attributes');

($id) = $cookie =~ /=(\w+)/;
is($t->get('/other', Cookie => "other_id=$id")->{body}, $response->{body},
   'the same bucket with the cookie');

# where no cookie can be sent any more, nobody is drawn

$response = $t->get('/flush');

is($response->{body}, 'v1no_key', 'the header is out');
is(scalar minted($response, 'gray_uid'), 0, 'the header is out: no cookie');

$t->done;

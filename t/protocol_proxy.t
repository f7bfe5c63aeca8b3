#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A release as an upstream for proxy_pass: every way to name it, to declare
# it, and to name what its variants are.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Release;

my $rule = 'match canary $http_x_canary = always;';

my $t = Test::Gray->new->config(<<"END")->start;
http {
    gray_zone gray 4m;

    # used before it is declared

    server {
        listen 127.0.0.1:%%PORT_early%%;
        location / { proxy_pass http://used_before; }
    }

    gray_release used_before {
        zone gray;
        hash \$arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        $rule
    }

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    upstream unix_v1 { server unix:%%DIR%%/v1.sock; }
    upstream unix_v2 { server unix:%%DIR%%/v2.sock; }

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=0%;
        $rule
    }

    gray_release sockets {
        zone gray;
        hash \$arg_uid;
        variant stable unix_v1;
        variant canary unix_v2 weight=0%;
        $rule
    }

    # an address that nginx.conf names elsewhere, and one that it does not

    gray_release addresses {
        zone gray;
        hash \$arg_uid;
        variant stable 127.0.0.1:%%PORT_v1%%;
        variant canary 127.0.0.1:%%PORT_v2%%;
        $rule
    }

    gray_release by_variable {
        zone gray;
        hash \$arg_uid;
        variant stable app_v1;
        variant canary 127.0.0.1:%%PORT_v2%%;
        $rule
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /app         { proxy_pass http://app; }
        location /sockets     { proxy_pass http://sockets; }
        location /addresses   { proxy_pass http://addresses; }
        location /by_variable { set \$to by_variable; proxy_pass http://\$to; }
        location /uri/        { proxy_pass http://app/changed/; }
        location /direct      { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location /upstream    {
            proxy_pass http://app;
            add_header X-Variant  \$gray_app;
            add_header X-Upstream \$gray_app_upstream;
            add_header X-Address  \$upstream_addr;
            add_header X-Host     \$proxy_host;
        }
        location /gray/       { gray_admin; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        listen unix:%%DIR%%/v1.sock;
        location / { return 200 "v1 \$request_uri \$http_host"; }
        location /changed/to { return 302 http://app/changed/there; }
    }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        listen unix:%%DIR%%/v2.sock;
        location / { return 200 "v2 \$request_uri \$http_host"; }
        location /changed/to { return 302 http://app/changed/there; }
    }
}
END


sub asks {
    my ($http, $path) = @_;

    return sub {
        my (@requests) = @_;

        return map { $_->{body} =~ /^(v\d) / ? $1 : $_->{status} }
            $http->many(scalar @requests, sub {
                my $request = $requests[$_[0]];
                return ("$path?uid=$request->{uid}",
                        $request->{canary} ? ('X-Canary' => 'always') : ());
            });
    };
}


follows_release($t, $_, asks($t->http, "/$_"))
    for qw(app sockets addresses by_variable);
follows_release($t, 'used_before', asks($t->http('early'), '/'));

# what the upstream gets, and what nginx says about it

my @canary = ('X-Canary' => 'always');

is($t->get('/uri/x?a=b')->{body}, 'v1 /changed/x?a=b app', 'URI and Host');
is($t->get('/uri/x?a=b', @canary)->{body}, 'v2 /changed/x?a=b app',
   'URI and Host by a rule');
is($t->get('/uri/to', @canary)->{headers}{location},
   'http://localhost:' . $t->port . '/uri/there', 'default proxy_redirect');
like($t->get('/direct')->{body}, qr/^v1 /, 'address without a release');

for my $case ([ 'stable', 'app_v1', 'v1' ],
              [ 'canary', 'app_v2', 'v2', @canary ])
{
    my ($variant, $upstream, $name, @headers) = @$case;
    my $response = $t->get('/upstream', @headers);

    is_deeply({ map { $_ => $response->{headers}{$_} }
                qw(x-variant x-upstream x-address x-host) },
              { 'x-variant'  => $variant,
                'x-upstream' => $upstream,
                'x-address'  => '127.0.0.1:' . $t->port($name),
                'x-host'     => 'app' },
              "variables of $variant");
}

# a response without a body, and a body that is read from a file

my $response = $t->request('HEAD', '/app?uid=1', \@canary);

is($response->{status}, 200, 'HEAD');
like($t->request('POST', '/app', \@canary, 'x' x 500_000)->{body}, qr/^v2 /,
     'POST');

$t->done;

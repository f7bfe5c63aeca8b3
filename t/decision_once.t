#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A request is decided once, whatever way it takes through nginx: what is
# drawn by chance when it is first asked for is what every later part of the
# request gets.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;

mkdir $t->dir . "/$_" for qw(html html/index);
$t->write_file('html/index/index.html', 'a file');
$t->write_file('html/ssi', '<!--#include virtual="/sub" wait="yes" -->,'
               . '<!--#include virtual="/sub" wait="yes" -->,'
               . '<!--#echo var="gray_app" -->');

$t->config(<<'END')->start;
http {
    gray_zone gray 1m;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream dead { server 127.0.0.1:%%PORT_dead%%; }

    gray_release app {
        zone gray;
        variant v1 v1;
        variant v2 v2 weight=50%;
    }

    log_format part '$http_x_id $server_port';
    access_log off;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        # each "set" asks first, what answers is a variant's upstream

        location /try          { set $first $gray_app; try_files /no /target; }
        location /last         { set $first $gray_app; rewrite ^ /target last; }
        location /try_named    { set $first $gray_app; try_files /no @target; }

        location /accel {
            set $first $gray_app;
            proxy_pass http://127.0.0.1:%%PORT_back%%;
        }

        location /index/ { set $first $gray_app; }

        location = /index/index.html {
            add_header X-First $first;
            proxy_pass http://app;
        }

        location /error {
            set $first $gray_app;
            error_page 404 /target;
            return 404;
        }

        location /error_200 {
            set $first $gray_app;
            error_page 404 =200 /target;
            return 404;
        }

        location /error_named {
            set $first $gray_app;
            error_page 404 = @target;
            return 404;
        }

        # of an upstream, and of the variant itself

        location /dead {
            set $first $gray_app;
            error_page 502 =200 @target;
            proxy_pass http://dead;
        }

        location /failed {
            proxy_intercept_errors on;
            error_page 500 =200 /again;
            proxy_pass http://app/fails;
        }

        location /again {
            add_header X-First $upstream_http_x_failed;
            proxy_pass http://app/again;
        }

        # subrequests

        location /ssi { ssi on; default_type text/html; }

        location /after {
            default_type text/html;
            add_after_body /sub;
            proxy_pass http://app;
        }

        location /auth {
            auth_request /sub;
            auth_request_set $first $upstream_http_x_variant;
            add_header X-First $first;
            proxy_pass http://app/;
        }

        location /mirror {
            mirror /sub;
            add_header X-First $gray_app;
            proxy_pass http://app;
        }

        location /post {
            post_action /sub;
            add_header X-First $gray_app;
            proxy_pass http://app;
        }

        location = /sub    { internal; proxy_pass http://app/; }
        location = /target { add_header X-First $first always;
                             proxy_pass http://app; }
        location @target   { add_header X-First $first always;
                             proxy_pass http://app; }

        location = /count  { return 200 $gray_app; }
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        access_log %%DIR%%/parts.log part;
        add_header X-Variant v1;
        add_header X-Failed v1 always;
        location /      { default_type text/html; return 200 v1; }
        location /fails { return 500; }
    }

    server {
        listen 127.0.0.1:%%PORT_v2%%;
        access_log %%DIR%%/parts.log part;
        add_header X-Variant v2;
        add_header X-Failed v2 always;
        location /      { default_type text/html; return 200 v2; }
        location /fails { return 500; }
    }

    server {
        listen 127.0.0.1:%%PORT_back%%;
        add_header X-Accel-Redirect /target;
        return 200;
    }
}
END


# a request is asked so often that both variants are drawn, and that one which
# is drawn twice cannot always get the same

sub once {
    my ($name, $path, $parts) = @_;

    my @responses = $t->many(40, sub { ($path, 'X-Id' => "$name-$_[0]") });
    my %seen;
    my $wrong = 0;

    for my $i (0 .. $#responses) {
        my @parts = $parts->($responses[$i], "$name-$i");
        my %variant = map { (defined $_ ? $_ : 'none') => 1 } @parts;

        $wrong++ if keys %variant != 1 || $parts[0] !~ /^v[12]$/;
        $seen{$parts[0] || ''} = 1;
    }

    is($wrong, 0, "$name: one decision");
    is(join(' ', sort keys %seen), 'v1 v2', "$name: both variants")
        or diag(explain($responses[0]));
}


sub first_and_body { return ($_[0]{headers}{'x-first'}, $_[0]{body}) }
sub parts_of_body  { return split /,/, $_[0]{body} }


once($_, "/$_", \&first_and_body)
    for qw(try last try_named accel index/ error error_200 error_named dead
           auth);

is($t->get('/error')->{status}, 404, 'error: the status stays');

# the upstream's 500, and the same variant's page for it

once('failed', '/failed', sub {
    my ($response, $id) = @_;

    return (first_and_body($response), servers($id));
});

once('ssi', '/ssi', \&parts_of_body);
once('after', '/after', sub { return $_[0]{body} =~ /(v\d)/g });

# what goes on while nobody waits for it

once($_, "/$_", sub {
    my ($response, $id) = @_;

    wait_until(sub { servers($id) >= 2 });

    return (first_and_body($response), servers($id));
})
    for qw(mirror post);


# the variants whose servers got a request of this id

sub servers {
    my ($id) = @_;

    my %name = ($t->port('v1') => 'v1', $t->port('v2') => 'v2');

    return map { $name{$_} }
           $t->read_file('parts.log') =~ /^\Q$id\E (\d+)$/mg;
}


# a new request on the same connection is decided anew

my %count;
$count{$_->{body}}++
    for $t->many(40, sub { '/count' }, per_connection => 40);

is(join(' ', sort keys %count), 'v1 v2', 'kept within a request only');

$t->done;

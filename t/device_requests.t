#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# device: the headers of a request, another source of the User-Agent, and what
# is so where nothing tells.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 2m;

    gray_release kind {
        zone     gray;
        variant  none;
        variant  bot;
        variant  tablet;
        variant  mobile;
        variant  desktop;
        match    bot device = bot;
        match    tablet device = tablet;
        match    mobile device = mobile;
        match    desktop device = desktop;
    }

    gray_release passed {
        zone     gray;
        variant  off;
        variant  on;
    }

    gray_release known {
        zone     gray;
        variant  off;
        variant  on;
        match    on device exists;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/   { gray_admin; }
        location /passed  { return 200 $gray_passed; }
        location /known   { return 200 $gray_known; }
        location /        { return 200 $gray_kind; }
    }
}
END

my $phone = 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, '
            . 'like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36';
my $mac = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/'
          . '605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15';


sub ask {
    my ($uri, @headers) = @_;
    return $t->request('GET', $uri, \@headers)->{body};
}

my @asked = (
    [ 'none', 'nothing tells' ],
    [ 'none', 'empty headers', 'User-Agent' => '',
      'Sec-CH-UA-Mobile' => '', 'Sec-CH-UA-Platform' => '' ],
    [ 'mobile', 'a phone', 'User-Agent' => $phone ],
    [ 'desktop', 'a Mac', 'User-Agent' => $mac ],
    [ 'bot', 'a program', 'User-Agent' => 'curl/8.5.0' ],
    [ 'mobile', 'a hint alone', 'Sec-CH-UA-Mobile' => '?1' ],
    [ 'tablet', 'two hints', 'Sec-CH-UA-Mobile' => '?0',
      'Sec-CH-UA-Platform' => '"Android"' ],
    [ 'tablet', 'hints before the User-Agent', 'User-Agent' => $phone,
      'Sec-CH-UA-Mobile' => '?0', 'Sec-CH-UA-Platform' => '"Android"' ],
    [ 'desktop', 'names in lower case, as of HTTP/2', 'user-agent' => $mac,
      'sec-ch-ua-mobile' => '?0', 'sec-ch-ua-platform' => '"macOS"' ],
    [ 'bot', 'a program with hints', 'User-Agent' => "$phone Googlebot/2.1",
      'Sec-CH-UA-Mobile' => '?1', 'Sec-CH-UA-Platform' => '"Android"' ],
    [ 'bot', 'bytes that are no UTF-8', 'User-Agent' => "\xff\xfe\x80" ],
);

for (@asked) {
    my ($expected, $name, @headers) = @$_;
    is(ask('/', @headers), $expected, $name);
}

is(ask('/known', 'User-Agent' => $mac), 'on', 'exists');
is(ask('/known'), 'off', 'does not exist');


# the User-Agent from elsewhere: hints of this request are not of it

my $response = $t->api('PATCH', '/gray/releases/passed', { rules => [
    { when => { device => { eq => 'mobile', of => '$http_x_agent' } },
      variant => 'on' } ] });
is($response->{status}, 200, 'of') or diag($response->{body});

is(ask('/passed', 'X-Agent' => $phone, 'User-Agent' => $mac), 'on',
   'of: another header');
is(ask('/passed', 'User-Agent' => $phone), 'off', 'of: not this one');
is(ask('/passed', 'X-Agent' => $mac, 'Sec-CH-UA-Mobile' => '?1'), 'off',
   'of: without hints');


# negation: who tells nothing is no bot

$response = $t->api('PATCH', '/gray/releases/passed', { rules => [
    { when => { device => { ne => 'bot' } }, variant => 'on' } ] });
is($response->{status}, 200, 'ne');

is(ask('/passed', 'User-Agent' => 'curl/8.5.0'), 'off', 'ne: a program');
is(ask('/passed', 'User-Agent' => $mac), 'on', 'ne: a Mac');
is(ask('/passed'), 'on', 'ne: nothing tells');


my $told = $t->api('POST', '/gray/releases/kind/explain',
                   { device => 'tablet' })->{json};
is($told->{variant}, 'tablet', 'explained');

$t->done;
